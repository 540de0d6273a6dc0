"""Examples: a user's, in any form that `fit` takes; images by name. TensorFlow is imported when images are loaded."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
