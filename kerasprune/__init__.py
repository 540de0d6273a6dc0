"""kerasprune makes Keras 3 models genuinely smaller.

Public names are imported on first use: help and lists of names need neither Keras nor NumPy.
"""

from __future__ import annotations

from kerasprune.registry import lazy

__version__ = "0.3.0"

_find, __dir__, __all__ = lazy(__name__)


def __getattr__(name: str) -> object:
    globals()[name] = found = _find(name)
    return found
