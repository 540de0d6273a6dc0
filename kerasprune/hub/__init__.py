"""Models of KerasHub made smaller that stay what they are: the same class with a smaller config."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
