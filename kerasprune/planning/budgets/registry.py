"""The registry of budgets."""

from __future__ import annotations

from kerasprune.registry import Registry

budgets = Registry(
    "budget",
    {
        "global": "kerasprune.planning.budgets.global_threshold:GlobalBudget",
        "per_stage": "kerasprune.planning.budgets.per_stage:PerStage",
        "sensitivity": "kerasprune.planning.budgets.sensitivity:Sensitivity",
        "threshold": "kerasprune.planning.budgets.global_threshold:ThresholdBudget",
        "uniform": "kerasprune.planning.budgets.uniform:Uniform",
    },
    base="kerasprune.planning.budgets.base:Budget",
)
