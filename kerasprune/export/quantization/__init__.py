"""Quantization-aware training: a model trained with the rounding of its int8 file."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
