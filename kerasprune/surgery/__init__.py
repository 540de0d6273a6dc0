"""Applies a plan to a model: rebuild, mask, verify, absorb constants, reorder, resize, reinitialise."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
