"""Sparse networks from the start: masks at initialisation, what is left of a network under them, and ablations."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
