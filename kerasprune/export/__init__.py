"""Files for use without Keras: SavedModel and TFLite, int8 calibration, mixed precision, and checks of each file.

TensorFlow's converter and LiteRT are imported when a function is called.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
