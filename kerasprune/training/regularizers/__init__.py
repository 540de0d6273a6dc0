"""Penalties inside the compiled training step: on BatchNorm scales, and growing L1 and L2 with the laws of growth."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
