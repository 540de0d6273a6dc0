"""FPGM: distances from the geometric median of a layer's filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.base import Checked, Criterion, Scores, argument, numbers
from kerasprune.criteria.members_of_channels import Makers, member_scores
from kerasprune.criteria.registry import aggregations
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph

_ROWS = 512  # filters whose distances are in memory at a time


@dataclass(frozen=True)
class FPGM(Checked, Criterion):
    """Sum of the distances from a filter to all others of its layer.

    `score(c) = Σ_d ‖W_c − W_d‖₂` over the other filters d of the layer, aggregated over the layers that make c.

    The filter closest to all others is closest to the geometric median, and is removed first. Unlike norms, the score
    does not rely on filters close to zero. A filter is the slice of a kernel that makes one channel; a depthwise kernel
    has one small filter per channel.

    Args:
        aggregation: How the scores of several layers that make a channel are combined: `"sum"`, `"mean"`, `"max"`,
            `"first"`, or an instance. Defaults to `"sum"`.

    Example:
        >>> import kerasprune as kp
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "fpgm", keep=0.5)

    Reference:
        He et al., Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration, CVPR 2019,
        Eq. 8.
    """

    aggregation: Any = argument("sum", make=aggregations.get)

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the summed distances."""
        return member_scores(graph, Makers(), self.aggregation, _distances)


def _distances(entry: Slice, axis: int) -> np.ndarray:
    """Returns for every filter of a kernel the sum of its distances to the others.

    By `‖x − y‖² = ‖x‖² + ‖y‖² − 2 x·y`, a matrix product; filters are centred, so that little cancels.
    """
    kernel = np.moveaxis(numbers(entry), axis, 0)
    filters = kernel.reshape(len(kernel), -1).astype("float64")
    filters -= filters.mean(axis=0)
    squares = (filters**2).sum(axis=1)
    sums = []
    for start in range(0, len(filters), _ROWS):
        own = slice(start, start + _ROWS)
        squared = squares[own, None] + squares - 2 * filters[own] @ filters.T
        sums.append(np.sqrt(np.maximum(squared, 0.0)).sum(axis=1))
    return np.concatenate(sums)
