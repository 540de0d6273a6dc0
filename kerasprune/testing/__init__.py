"""Batteries of checks for every member of a family, including users' own.

Each check raises `AssertionError` with the expectation, the finding and its place; none needs pytest.
"""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "Agreement": "kerasprune.testing.oracle:Agreement",
        "check_budget": "kerasprune.testing.budgets:check_budget",
        "check_callback": "kerasprune.testing.callbacks:check_callback",
        "check_criterion": "kerasprune.testing.criteria:check_criterion",
        "check_rebuild": "kerasprune.testing.oracle:check_rebuild",
        "check_rule": "kerasprune.testing.rules:check_rule",
        "check_saved": "kerasprune.testing.oracle:check_saved",
        "compare": "kerasprune.testing.oracle:compare",
        "random_inputs": "kerasprune.surgery.random_inputs:random_inputs",
        "random_plan": "kerasprune.testing.randomness:random_plan",
        "randomise": "kerasprune.testing.randomness:randomise",
    }
)
