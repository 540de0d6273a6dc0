"""Any criterion of weights over all that belongs to a channel, aggregated and normalised as one likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.aggregation import Aggregation
from kerasprune.criteria.base import Criterion, Scores, along, as_array, numbers, refuse
from kerasprune.criteria.members_of_channels import Members, member_scores
from kerasprune.criteria.normalisation import Normalisation
from kerasprune.errors import PruneError
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.registry import aggregations, criteria, members, normalisations


@dataclass(frozen=True)
class Grouped(Criterion):
    """`score(c) = normalised(reduced(aggregation over members m of Σ_{w of c in m} saliency(w)))`.

    With its defaults it is the criterion inside, unchanged: what makes a channel, summed.

    Args:
        criterion: What a weight is worth: a criterion with `saliency`. Defaults to `"l1"`.
        members: What speaks for a channel: `"makers"`, `"readers"`, `"scales"`, `"everything"`, or an instance.
            Defaults to `"makers"`.
        aggregation: How several members make one score: `"sum"`, `"mean"`, `"max"`, `"first"`, or an instance.
            Defaults to `"sum"`.
        normalisation: How groups are made comparable: `"none"`, `"mean"`, `"max"`, `"sum"`, `"norm"`,
            `"standardised"`, `"range"`, `"quantile"`, `"larger"`, or an instance. Defaults to `"none"`.

    Raises:
        PruneError: A name is unknown, or the criterion inside says nothing of weights by themselves.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3))
        >>> criterion = Grouped("l2", "everything", "mean", "standardised")
        >>> len(kp.plan(model, criterion, keep=0.5).keep)
        6

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3.
    """

    criterion: Any = "l1"
    members: Any = "makers"
    aggregation: Any = "sum"
    normalisation: Any = "none"

    def __post_init__(self) -> None:
        found: dict[str, Criterion | Members | Aggregation | Normalisation] = {
            "criterion": criteria.get(self.criterion),
            "members": members.get(self.members),
            "aggregation": aggregations.get(self.aggregation),
            "normalisation": normalisations.get(self.normalisation),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)
        inside = type(self.criterion)
        if inside.saliency is Criterion.saliency or inside.needs:
            raise PruneError(
                "Expected a criterion inside that says what weights are worth by themselves, with saliency() and "
                f"without data. Received: criterion={self.criterion!r}. Take 'l1' or 'l2'."
            )

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the score of every channel of every prunable group.

        Raises:
            PruneError: None of the members belongs to a group; all such groups are named.
        """
        without = [name for name in graph.prunable if not self.members(graph, name)]
        expected = f"{type(self.members).__name__.lower()} in every prunable group"
        refuse(without, expected, "none in", "Take members='everything'")
        totals = member_scores(graph, self.members, self.aggregation, self._line)
        return {
            name: self.normalisation(as_array(self.criterion.reduced(total), "float64"))
            for name, total in totals.items()
        }

    def _line(self, entry: Slice, axis: int) -> np.ndarray:
        return along(self.criterion.saliency(numbers(entry)), axis)


@dataclass(frozen=True)
class GroupL1(Grouped):
    """`score(c) = mean over the layers that make, read or scale c of Σ |w|`, over the mean score of the group.

    Args:
        criterion: What a weight is worth. Defaults to `"l1"`.
        members: What speaks for a channel, see `Grouped`. Defaults to `"everything"`.
        aggregation: How several members make one score. Defaults to `"mean"`.
        normalisation: How groups are made comparable. Defaults to `"mean"`.

    Example:
        >>> import kerasprune as kp
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "group_l1", "threshold", macs=0.5)

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3; `GroupMagnitudeImportance(p=1)`
        of Torch-Pruning 1.6.
    """

    members: Any = "everything"
    aggregation: Any = "mean"
    normalisation: Any = "mean"


@dataclass(frozen=True)
class GroupL2(GroupL1):
    """`score(c) = sqrt(mean over the layers that make, read or scale c of Σ w²)`, over the mean score of the group.

    Torch-Pruning takes no root: the order inside a group is the same, the distances between groups are others.

    Args:
        criterion: What a weight is worth. Defaults to `"l2"`.
        members: What speaks for a channel, see `Grouped`. Defaults to `"everything"`.
        aggregation: How several members make one score. Defaults to `"mean"`.
        normalisation: How groups are made comparable. Defaults to `"mean"`.

    Example:
        >>> import kerasprune as kp
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "group_l2", "threshold", macs=0.5)

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3; `GroupMagnitudeImportance(p=2)`
        of Torch-Pruning 1.6.
    """

    criterion: Any = "l2"
