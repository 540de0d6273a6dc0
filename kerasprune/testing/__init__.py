"""Batteries of checks that every member of a family passes, users' own included.

Each check raises `AssertionError` that says what was expected, what was found and where; none needs pytest.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
