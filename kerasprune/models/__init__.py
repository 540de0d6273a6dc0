"""Built-in architectures as functional models, one family per file; data sets by name are in `sets`.

Every factory takes `classes`, `input_shape` (sides may be `None` if the architecture allows it) and `seed`, and
names every layer itself, so that the groups of a saved plan keep their names.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
