"""The time that a model takes: one inference, measured with LiteRT on this machine."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
