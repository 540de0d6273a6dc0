"""One threshold for the whole network."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.base import Scores
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import kept_number
from kerasprune.planning.budgets.base import Budget, Floor, top


class CommonThreshold(Budget):
    """Base: keeps the highest scores over all groups together; of each group at least its floor."""

    @abstractmethod
    def comparable(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores of one group made comparable with those of other groups."""

    def choose(self, graph: ChannelGraph, scores: Scores, level: float, floor: Floor) -> dict[str, np.ndarray]:
        """Returns the channels above the common threshold, and of each group at least its floor."""
        names = list(graph.prunable)
        relative = {name: self.comparable(scores[name]) for name in names}
        everything = np.concatenate([relative[name] for name in names]) if names else np.zeros(0)
        kept = np.zeros(everything.size, bool)
        kept[top(everything, kept_number(everything.size, level))] = True
        bounds = np.cumsum([0, *(len(relative[name]) for name in names)])
        return {
            name: top(relative[name], floor.apply(int(kept[a:b].sum()), b - a, name))
            for name, a, b in zip(names, bounds, bounds[1:], strict=False)
        }


@dataclass(frozen=True)
class GlobalBudget(CommonThreshold):
    """Keeps the highest scores over all groups together, each divided by the mean score of its group.

    Scores of different groups are sums over different numbers of weights; division by the group's mean makes them
    comparable.

    Example:
        >>> import numpy as np
        >>> GlobalBudget().comparable(np.array([1.0, 3.0])).tolist()
        [0.5, 1.5]
    """

    def comparable(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores over their mean."""
        return scores / (np.abs(scores).mean() or 1.0)


@dataclass(frozen=True)
class ThresholdBudget(CommonThreshold):
    """Keeps the highest scores over all groups together, without normalisation.

    Use it for scores that mean the same in every layer, such as `bn_scale`; for others use `global`. A group without
    channels above the threshold keeps `min_keep`.

    Example:
        >>> import numpy as np
        >>> ThresholdBudget().comparable(np.array([1.0, 3.0])).tolist()
        [1.0, 3.0]

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017, section 3.
    """

    def comparable(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores."""
        return scores
