"""A user's own examples (arrays, batches, `.npz` files, folders of images): one reader, and checks of them.

Data sets by name are in `kerasprune/models/sets`.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
