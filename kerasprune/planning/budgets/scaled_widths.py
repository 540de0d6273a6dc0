"""Widths in the proportions of a plan that was measured, at other costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning.budgets.base import Budget


@dataclass(frozen=True, eq=False)
class ScaledWidths(Budget):
    """Keeps fractions that are those of a plan, all raised to one power.

    `fraction(g) = r_g^t`, where r_g is the fraction of group g that the plan keeps, and t is such that the mean of the
    logarithms is that of the level. So the plan is one of the choices, everything is kept at level 1, and groups that
    the plan spares are spared at any cost.

    Args:
        plan: The plan.
    """

    plan: Plan

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns the fraction of every group."""
        sizes = {name: group.size for name, group in graph.prunable.items()}
        kept = {name: len(self.plan.keep.get(name, range(size))) for name, size in sizes.items()}
        # A group that is kept whole may become narrower too, as if half a channel less were kept.
        logs = {name: log(min(kept[name], size - 0.5) / size) for name, size in sizes.items()}
        power = log(level) * len(logs) / sum(logs.values())
        return {name: min(exp(power * each), 1.0) for name, each in logs.items()}
