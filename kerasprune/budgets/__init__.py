"""How much stays where: one file per budget."""

from kerasprune.budgets import global_, per_stage, threshold, uniform
from kerasprune.budgets.base import Budget, Floor, kept_number, top
from kerasprune.budgets.stages import stages
from kerasprune.budgets.table import budgets as _budgets

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
