"""How much stays where: one file per budget."""

from kerasprune.budgets import global_threshold as global_
from kerasprune.budgets import per_stage, threshold, uniform
from kerasprune.budgets.base import Budget, Floor, kept_number, top
from kerasprune.budgets.table import budgets as _budgets
from kerasprune.graph.stages import stages

add, names, get = _budgets.add, _budgets.names, _budgets.get

__all__ = [
    "Budget",
    "Floor",
    "add",
    "get",
    "global_",
    "kept_number",
    "names",
    "per_stage",
    "stages",
    "threshold",
    "top",
    "uniform",
]
