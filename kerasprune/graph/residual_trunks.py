"""Residual trunks: what a sum does to the channels of its trunk and of its branches.

Under `coupling="tied"` they are kept or pruned together, under `"free"` the trunk is kept whole, under `"padded"` a
branch may be narrower: it is added to the first channels of the trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.graph.channels import Padded

if TYPE_CHECKING:
    from kerasprune.graph.graph import ChannelGraph


def reason_to_keep_whole(coupling: str, operands: int) -> str | None:
    """Returns the reason why the operands of a sum are kept whole, or `None` if they may be pruned."""
    return "coupling='free' keeps the width of the residual trunk" if coupling == "free" and operands > 1 else None


def prefix_branches(graph: ChannelGraph, keep: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns a choice in which every padded branch keeps the first of the channels that its trunk keeps.

    Groups keep as many channels as in `keep`, other ones if they end in a padded sum.
    """
    chosen = {name: np.asarray(indices, int) for name, indices in keep.items()}
    for _ in graph.padded:  # a trunk may be a branch elsewhere
        before = chosen
        for sum_ in graph.padded:
            chosen = _with_prefix(graph, chosen, sum_)
        if before.keys() == chosen.keys() and all(map(np.array_equal, before.values(), chosen.values())):
            break
    return chosen


def faults_of_sums(graph: ChannelGraph, alive: np.ndarray) -> list[str]:
    """Returns a fault for every padded branch that does not keep a prefix of the channels its trunk keeps."""
    faults = []
    for sum_ in graph.padded:
        branch, trunk = np.flatnonzero(alive[sum_.branch]), np.flatnonzero(alive[sum_.trunk])
        if branch.size > trunk.size or (branch != trunk[: branch.size]).any():
            faults.append(
                f"the branch into {sum_.node.operation.name!r} must keep the first channels of its trunk. "
                f"Received: {branch[:8].tolist()}… of {trunk[:8].tolist()}…. Sort with kp.surgery.reorder first."
            )
    return faults


def _with_prefix(graph: ChannelGraph, chosen: Mapping[str, np.ndarray], sum_: Padded) -> dict[str, np.ndarray]:
    """Returns a choice in which one padded branch keeps the first of the channels that its trunk keeps."""
    alive = graph.alive(chosen)
    first = np.flatnonzero(alive[sum_.trunk])[: int(alive[sum_.branch].sum())]
    inside = graph.classes_with(sum_.branch)
    kept = graph.classes_with(alive) & ~inside | graph.classes_with(sum_.branch[first])
    changed = {
        name: np.flatnonzero(kept[group.classes])
        for name, group in graph.prunable.items()
        if inside[group.classes].any()
    }
    return {**chosen, **changed}
