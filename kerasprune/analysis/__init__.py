"""Looks at trained networks."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
