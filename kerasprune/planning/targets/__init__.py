"""Targets in milliseconds of a device or in bytes of a file: the cost of a choice of widths, and its limit."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
