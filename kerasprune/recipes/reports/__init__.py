"""Reports of runs: tables, figures and HTML pages, each a pure function of the files of a run."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
