"""Masks of single weights: pruning at initialisation, random masks, and reports on the sparse network."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
