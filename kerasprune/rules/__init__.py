"""Rules: what each kind of layer does to channel ids, one file per kind, imported when a model has one."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
