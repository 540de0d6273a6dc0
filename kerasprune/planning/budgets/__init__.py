"""Budgets: the fraction kept of every group, one file per budget."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
