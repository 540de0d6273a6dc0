"""Targets of plans other than channels, parameters and multiply–adds: milliseconds, and the bytes of a file."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
