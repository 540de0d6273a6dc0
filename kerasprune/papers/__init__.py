"""Published systems, one folder per paper: its budget, search, workflow, recipe stage and figures together.

Nothing outside imports from here: `BRINGS` of a folder lists by name what it adds to which table, and the package works
without any of the folders. No folder imports another.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
