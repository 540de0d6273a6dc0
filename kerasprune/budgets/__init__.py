"""Budgets: the fraction kept of every group, one file per budget."""

from kerasprune.registry import budgets, family, lazy

__getattr__, __dir__, __all__ = lazy(
    family(
        budgets,
        "budgets",
        {
            "Budget": "kerasprune.budgets.base:Budget",
            "Floor": "kerasprune.budgets.base:Floor",
            "Global": "kerasprune.budgets.global_threshold:GlobalBudget",
            "MeasuredBudget": "kerasprune.budgets.measured:MeasuredBudget",
            "kept_number": "kerasprune.budgets.base:kept_number",
            "stages": "kerasprune.graph.stages:stages",
            "Threshold": "kerasprune.budgets.global_threshold:ThresholdBudget",
            "top": "kerasprune.budgets.base:top",
        },
    )
)
