"""Budgets: the fraction kept of every group, one file per budget."""

from kerasprune.registry import budgets, family, lazy

__getattr__, __dir__, __all__ = lazy(
    family(
        budgets,
        "budgets",
        {
            "Budget": "kerasprune.budgets.base:Budget",
            "Floor": "kerasprune.budgets.base:Floor",
            "MeasuredBudget": "kerasprune.budgets.measured:MeasuredBudget",
            "kept_number": "kerasprune.budgets.base:kept_number",
            "layer_densities": "kerasprune.budgets.model_densities:layer_densities",
            "plan_of_densities": "kerasprune.budgets.precrop:plan_of_densities",
            "stages": "kerasprune.graph.stages:stages",
            "SynExpTrial": "kerasprune.budgets.synexp_trials:SynExpTrial",
            "synexp": "kerasprune.budgets.synexp",
            "synexp_trial": "kerasprune.budgets.synexp_trials:synexp_trial",
            "top": "kerasprune.budgets.base:top",
        },
    )
)
