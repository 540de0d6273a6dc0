"""Batteries of checks for every member of a family, including users' own.

Each check raises `AssertionError` with the expectation, the finding and its place; none needs pytest.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
