"""One threshold for the whole network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.budgets.base import Budget, Floor, kept_number, top
from kerasprune.budgets.table import budgets
from kerasprune.criteria.base import Scores
from kerasprune.graph.graph import ChannelGraph


@budgets.add("global")
@dataclass(frozen=True)
class Global(Budget):
    """Keeps the highest `score / mean score of the group` over all groups together.

    Scores of different groups are sums over different numbers of weights; dividing by the group's mean makes them
    comparable.
    """

    def choose(self, graph: ChannelGraph, scores: Scores, level: float, floor: Floor) -> dict[str, np.ndarray]:
        """Returns what stays above the common threshold, and of each group at least its floor."""
        names = list(graph.prunable)
        relative = {name: scores[name] / (np.abs(scores[name]).mean() or 1.0) for name in names}
        everything = np.concatenate([relative[name] for name in names]) if names else np.zeros(0)
        kept = np.zeros(everything.size, bool)
        kept[top(everything, kept_number(everything.size, level))] = True
        bounds = np.cumsum([0, *(len(relative[name]) for name in names)])
        return {
            name: top(relative[name], floor.apply(int(kept[a:b].sum()), b - a))
            for name, a, b in zip(names, bounds, bounds[1:], strict=False)
        }
