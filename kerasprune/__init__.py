"""kerasprune makes Keras 3 models genuinely smaller."""

from __future__ import annotations

import importlib
from typing import Any

from kerasprune import budgets, callbacks, criteria, regularizers, rules, schedules, search, thresholds
from kerasprune.channels import Block, Group
from kerasprune.cost import Cost, cost
from kerasprune.errors import PruneError
from kerasprune.graph import ChannelGraph
from kerasprune.lottery import lottery
from kerasprune.masking import mask
from kerasprune.planning import plan
from kerasprune.plans import Plan
from kerasprune.rebuild import rebuild
from kerasprune.reinitialising import reinitialise
from kerasprune.reordering import reorder
from kerasprune.rounds import rounds
from kerasprune.rules import rule
from kerasprune.summary import report
from kerasprune.three_dimensions import one_dimension, three_dimensions
from kerasprune.tracing import trace

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
    if name in _LAZY:
        return importlib.import_module(f"kerasprune.{name}")
    raise AttributeError(f"module 'kerasprune' has no attribute {name!r}")
