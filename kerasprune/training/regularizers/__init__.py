"""Penalties inside the compiled training step: on BatchNorm scales, and growing L2 with the laws of its growth."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
