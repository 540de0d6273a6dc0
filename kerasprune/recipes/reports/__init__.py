"""Reports of runs: pure functions of the files of a run."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
