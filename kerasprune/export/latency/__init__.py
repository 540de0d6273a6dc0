"""Times of models with LiteRT, on this machine or a phone: one inference, and tables of operators over their widths."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
