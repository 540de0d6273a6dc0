"""Data: a user's own examples in any form that `fit` takes, and images by name (these need TensorFlow)."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
