"""Callbacks that users pass to `model.fit`: one file per pruning method, and those that resume, hold masks or log."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__, table="callbacks")
