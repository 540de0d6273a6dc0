"""Models packed into one small `.kpz` file: weights shared by clusters, Huffman-coded, and the bytes measured."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
