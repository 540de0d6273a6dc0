"""Analysis of trained networks: feature maps, sensitivity of groups, lines and curves between models."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
