"""Rules of layers: one file per kind of layer, imported when one of its classes is looked up."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
