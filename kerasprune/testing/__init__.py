"""Checks that every method must pass: ours, and those that users write themselves.

Each check raises `AssertionError` that says what was expected, what was found and where; none needs pytest.
"""

from kerasprune.testing.budgets import check_budget
from kerasprune.testing.callbacks import check_callback
from kerasprune.testing.criteria import check_criterion
from kerasprune.testing.oracle import Agreement, check_rebuild, check_saved, compare
from kerasprune.testing.randomness import random_inputs, random_plan, randomise
from kerasprune.testing.rules import check_rule

__all__ = [
    "Agreement",
    "check_budget",
    "check_callback",
    "check_criterion",
    "check_rebuild",
    "check_rule",
    "check_saved",
    "compare",
    "random_inputs",
    "random_plan",
    "randomise",
]
