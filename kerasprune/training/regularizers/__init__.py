"""Penalties that act inside the compiled training step."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
