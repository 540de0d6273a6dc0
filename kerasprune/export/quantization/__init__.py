"""Models prepared for int8: trained with its rounding, ranges evened out across layers, biases corrected."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
