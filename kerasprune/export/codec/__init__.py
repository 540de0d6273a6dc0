"""Models small on disk: weights shared by clusters and Huffman-coded in one file, whose bytes are measured."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
