"""Exported files for use without Keras. TensorFlow's converter and LiteRT are imported when a function is called."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
