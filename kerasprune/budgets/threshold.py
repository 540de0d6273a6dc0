"""One threshold for scores that are comparable as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.budgets.base import Budget, Floor, kept_number, top
from kerasprune.budgets.table import budgets
from kerasprune.criteria.base import Scores
from kerasprune.graph.graph import ChannelGraph


@budgets.add("threshold")
@dataclass(frozen=True)
class Threshold(Budget):
    """Keeps the highest scores over all groups together, as they are.

    For scores that mean the same in every layer, such as `bn_scale`; `global` is for those that do not. A group of
    which nothing is above the threshold keeps its floor.

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017, section 3.
    """

    def choose(self, graph: ChannelGraph, scores: Scores, level: float, floor: Floor) -> dict[str, np.ndarray]:
        """Returns what stays above the common threshold, and of each group at least its floor."""
        names = list(graph.prunable)
        everything = np.concatenate([scores[name] for name in names]) if names else np.zeros(0)
        kept = np.zeros(everything.size, bool)
        kept[top(everything, kept_number(everything.size, level))] = True
        bounds = np.cumsum([0, *(len(scores[name]) for name in names)])
        return {
            name: top(scores[name], floor.apply(int(kept[a:b].sum()), b - a))
            for name, a, b in zip(names, bounds, bounds[1:], strict=False)
        }
