"""Searches over widths: `search_plan`, evolution within limits, and the exact costs of many allocations at once."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
