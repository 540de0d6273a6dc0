"""kerasprune makes Keras 3 models genuinely smaller."""

from __future__ import annotations

import importlib
from typing import Any

from kerasprune import budgets, callbacks, criteria, regularizers, rules, schedules, search, thresholds
from kerasprune.costs.cost import Cost, cost
from kerasprune.costs.report import report
from kerasprune.errors import PruneError
from kerasprune.graph.channels import Block, Group
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.planning import plan
from kerasprune.plans import Plan
from kerasprune.rules import rule
from kerasprune.surgery.mask import mask
from kerasprune.surgery.rebuild import rebuild
from kerasprune.surgery.reinitialise import reinitialise
from kerasprune.surgery.reorder import reorder
from kerasprune.workflows.lottery import lottery
from kerasprune.workflows.rounds import rounds
from kerasprune.workflows.three_dimensions import one_dimension, three_dimensions

__version__ = "0.1.0"

_LAZY = ("data", "export", "latency", "models", "recipes", "reports", "testing")

__all__ = [
    "Block",
    "ChannelGraph",
    "Cost",
    "Group",
    "Plan",
    "PruneError",
    "budgets",
    "callbacks",
    "cost",
    "criteria",
    "lottery",
    "mask",
    "one_dimension",
    "plan",
    "rebuild",
    "reinitialise",
    "regularizers",
    "reorder",
    "report",
    "rounds",
    "rule",
    "rules",
    "schedules",
    "search",
    "three_dimensions",
    "thresholds",
    "trace",
]


def __getattr__(name: str) -> Any:
    """Imports the subpackages that need TensorFlow, matplotlib or yaml when they are first used."""
    if name == "latency":
        return importlib.import_module("kerasprune.export.latency")
    if name in _LAZY:
        return importlib.import_module(f"kerasprune.{name}")
    raise AttributeError(f"module 'kerasprune' has no attribute {name!r}")
