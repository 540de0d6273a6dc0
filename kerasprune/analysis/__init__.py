"""Looks at trained networks: how sensitive groups and layers are, feature maps, losses between two models."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
