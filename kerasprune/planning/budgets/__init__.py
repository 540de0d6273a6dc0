"""Budgets: the fraction kept of every group, one file per budget, and the choice of widths that meets a target."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
