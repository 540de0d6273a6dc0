"""Checks that every criterion, budget, callback and rule must pass, including users' own, and the oracle of `rebuild`.

Each check raises `AssertionError` with the expectation, the finding and its place; none needs pytest.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
