"""A criterion of weights with a choice of members, aggregation and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.base import Checked, Criterion, Scores, along, argument, as_array, numbers, refuse
from kerasprune.criteria.members_of_channels import member_scores
from kerasprune.criteria.registry import aggregations, criteria, members, normalisations
from kerasprune.errors import PruneError
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class Grouped(Checked, Criterion):
    """A criterion put together from parts: score of a weight, layers, aggregation and normalisation.

    `score(c) = normalised(reduced(aggregation over members m of Σ_{w of c in m} saliency(w)))`.

    With the defaults it equals the inner criterion, summed over the kernels that make a channel.

    Args:
        criterion: The score of a weight: a criterion with `saliency`. Defaults to `"l1"`.
        members: The variables that score a channel: `"makers"`, `"readers"`, `"scales"`, `"everything"` or an instance.
            Defaults to `"makers"`.
        aggregation: How the scores of several members are combined: `"sum"`, `"mean"`, `"max"`, `"first"`, or an
            instance. Defaults to `"sum"`.
        normalisation: How scores are made comparable between groups: `"none"`, `"mean"`, `"max"`, `"sum"`, `"norm"`,
            `"standardised"`, `"range"`, `"quantile"`, `"larger"`, or an instance. Defaults to `"none"`.

    Raises:
        PruneError: A name is unknown, or the inner criterion cannot score single weights.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3))
        >>> criterion = Grouped("l2", "everything", "mean", "standardised")
        >>> len(kp.plan(model, criterion, keep=0.5).keep)
        6

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3.
    """

    criterion: Any = argument("l1", make=criteria.get)
    members: Any = argument("makers", make=members.get)
    aggregation: Any = argument("sum", make=aggregations.get)
    normalisation: Any = argument("none", make=normalisations.get)

    def __post_init__(self) -> None:
        super().__post_init__()
        inside = type(self.criterion)
        if inside.saliency is Criterion.saliency or inside.needs:
            raise PruneError(
                "Expected an inner criterion that scores weights by themselves, with saliency() and without data. "
                f"Received: criterion={self.criterion!r}. Use 'l1' or 'l2'."
            )

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the score of every channel of every prunable group.

        Raises:
            PruneError: Groups have none of the members.
        """
        without = [name for name in graph.prunable if not self.members(graph, name)]
        expected = f"{type(self.members).__name__.lower()} in every prunable group"
        refuse(without, expected, "none in", "Use members='everything'")
        totals = member_scores(graph, self.members, self.aggregation, self._line)
        return {
            name: self.normalisation(as_array(self.criterion.reduced(total), "float64"))
            for name, total in totals.items()
        }

    def _line(self, entry: Slice, axis: int) -> np.ndarray:
        return along(self.criterion.saliency(numbers(entry)), axis)


@dataclass(frozen=True)
class GroupL1(Grouped):
    """The mean L1 norm over all layers that make, read or scale a channel, divided by the mean of its group.

    Args:
        criterion: The score of a weight. Defaults to `"l1"`.
        members: The variables that score a channel, see `Grouped`. Defaults to `"everything"`.
        aggregation: How the scores of several members are combined. Defaults to `"mean"`.
        normalisation: How scores are made comparable between groups. Defaults to `"mean"`.

    Example:
        >>> import kerasprune as kp
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "group_l1", "threshold", macs=0.5)

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3; `GroupMagnitudeImportance(p=1)`
        of Torch-Pruning 1.6.
    """

    members: Any = argument("everything", make=members.get)
    aggregation: Any = argument("mean", make=aggregations.get)
    normalisation: Any = argument("mean", make=normalisations.get)


@dataclass(frozen=True)
class GroupL2(GroupL1):
    """The L2 norm over all layers that make, read or scale a channel, divided by the mean of its group.

    `score(c) = sqrt(mean of Σ w² over the layers that make, read or scale c)`, before the division.

    Torch-Pruning takes no root: the order within a group is the same, but groups compare differently.

    Args:
        criterion: The score of a weight. Defaults to `"l2"`.
        members: The variables that score a channel, see `Grouped`. Defaults to `"everything"`.
        aggregation: How the scores of several members are combined. Defaults to `"mean"`.
        normalisation: How scores are made comparable between groups. Defaults to `"mean"`.

    Example:
        >>> import kerasprune as kp
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "group_l2", "threshold", macs=0.5)

    Reference:
        Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, section 3.3; `GroupMagnitudeImportance(p=2)`
        of Torch-Pruning 1.6.
    """

    criterion: Any = argument("l2", make=criteria.get)
