"""A model of accuracy over depth, width and resolution and its optimum under constraints; evolution."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
