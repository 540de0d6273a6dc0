"""Criteria: scores of channels and blocks, one file per score."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
