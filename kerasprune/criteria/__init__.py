"""Criteria: scores of channels, blocks and single weights, one file per score; a higher score means keep."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
