"""kerasprune makes Keras 3 models genuinely smaller."""

__version__ = "0.1.0"
