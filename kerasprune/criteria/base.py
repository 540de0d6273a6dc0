"""What every criterion is: from a graph to one score per channel of every prunable group. Higher = keep.

A magnitude-like criterion says only what one number of a kernel is worth (`saliency`); the base sums it over every
kernel slice that makes a channel, so coupled layers, depthwise kernels and shared layers cost the author nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.registry import criteria

Scores = dict[str, np.ndarray]
"""`{group name: one score per channel}`; higher = keep."""


@dataclass(frozen=True)
class Evidence:
    """What a criterion may look at besides the weights.

    Args:
        data: Batches of `(inputs, labels)`, or `None`.
        loss: The loss function, or `None`.
        seed: Of everything random.
    """

    data: Any = None
    loss: Any = None
    seed: int = 0


class Criterion:
    """Base of all criteria."""

    def saliency(self, weight: np.ndarray) -> np.ndarray:
        """Returns what each number of a kernel is worth, in the kernel's shape."""
        base = Criterion.saliency
        known = [name for name in criteria if getattr(criteria.member(name), "saliency", base) is not base]
        has = "neither saliency() nor" if type(self).score is Criterion.score else "only"
        raise PruneError(
            f"Expected a criterion with saliency(), which says what single weights are worth: {', '.join(known)}. "
            f"Received: {type(self).__name__}, which has {has} score(). Take one of those, or write saliency()."
        )

    def score(self, graph: ChannelGraph, evidence: Evidence) -> Scores:
        """Returns the score of every channel of every prunable group: `Σ_kernels Σ_slice saliency`."""
        saliencies = {id(k.variable): self.saliency(numbers(k)) for k in graph.kernels}
        return {name: gather(graph.made_by(name), group.size, saliencies) for name, group in graph.prunable.items()}


def gather(entries: list[tuple[Slice, int, np.ndarray]], size: int, saliencies: Mapping[int, np.ndarray]) -> np.ndarray:
    """Sums saliencies over every slice of the channels of one group.

    Args:
        entries: `(slice, axis, channel at each position of the axis)`, as `ChannelGraph.made_by` returns them.
        size: Number of channels.
        saliencies: `{id(variable): saliency of each of its numbers}`.

    Returns:
        One sum per channel.
    """
    total = np.zeros(size)
    for entry, axis, channel in entries:
        saliency = saliencies[id(entry.variable)]
        per_position = saliency.sum(axis=tuple(a for a in range(saliency.ndim) if a != axis))
        here = channel >= 0
        np.add.at(total, channel[here], per_position[here])
    return total


def numbers(entry: Slice) -> np.ndarray:
    """Returns a variable's values as float64."""
    return keras.ops.convert_to_numpy(entry.variable).astype("float64")


def score(criterion: Criterion, graph: ChannelGraph, evidence: Evidence = Evidence()) -> Scores:
    """Returns a criterion's scores, checked.

    Raises:
        PruneError: A group has no scores, or not one per channel, or a score is not a finite number.
    """
    scores = criterion.score(graph, evidence)
    shapes = {name: np.shape(scores.get(name)) for name in graph.prunable}
    raise_faults(
        f"Expected one score per channel from {type(criterion).__name__}.",
        [
            f"group {name!r} has {graph.groups[name].size} channels. Received: scores of shape {shape}."
            for name, shape in shapes.items()
            if shape != (graph.groups[name].size,)
        ],
    )
    bad = [name for name, values in scores.items() if not np.isfinite(values).all()]
    if bad:
        raise PruneError(
            f"Expected finite scores. Received: NaN or infinity from {type(criterion).__name__} in the groups "
            f"{', '.join(bad[:5])}{'…' if len(bad) > 5 else ''}. Check the weights: training may have diverged."
        )
    return scores
