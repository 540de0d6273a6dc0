"""Groups widened as far as that costs no time on a device whose time over width is a staircase."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kerasprune.criteria.base import Scores, top
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal

_FREE = 0.002  # relative growth of the whole time that counts as none
_FURTHEST = 64  # channels: the largest block of a kernel

Choice = Mapping[str, np.ndarray]


def widened(
    graph: ChannelGraph, choice: Choice, scores: Scores, time: Callable[[Choice], float]
) -> dict[str, np.ndarray]:
    """Returns a choice with more channels of each group, one group after the other, at the same time.

    Args:
        graph: The graph.
        choice: `{group name: indices kept}`.
        scores: `{group name: one score per channel}`; the highest are kept.
        time: Returns the time of a choice.
    """
    best, limit = dict(choice), time(choice) * (1 + _FREE)
    for name, group in graph.prunable.items():
        kept = len(best[name])
        for number in range(min(group.size, kept + _FURTHEST), kept, -1):
            wider = legal(graph, {**best, name: top(scores[name], number)}, scores)
            if time(wider) <= limit:
                best = wider
                break
    return best
