"""Callbacks for `model.fit`, one file per pruning method."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__, table="callbacks")
