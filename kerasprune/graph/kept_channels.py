"""Legal choices of channels: no tensor is left empty, padded branches keep the first channels of their trunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasprune.graph.channels import Padded
from kerasprune.graph.graph import ChannelGraph


def legal(
    graph: ChannelGraph, keep: Mapping[str, Any], scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Returns the legal choice nearest to `keep`: `filled`, then `prefixed`.

    Args:
        graph: The graph.
        keep: `{group name: indices kept}`.
        scores: As for `filled`.
    """
    return prefixed(graph, filled(graph, keep, scores))


def filled(
    graph: ChannelGraph, keep: Mapping[str, Any], scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Returns a choice that keeps at least one channel of every tensor, sliced ones included.

    Args:
        keep: `{group name: indices kept}`.
        scores: `{group name: one score per channel}`; an empty slice keeps its best channel. Defaults to its first.
    """
    chosen = {name: np.asarray(indices, int) for name, indices in keep.items()}
    for _, classes in graph.slices_of_groups:
        positions = {name: np.flatnonzero(np.isin(group.classes, classes)) for name, group in graph.prunable.items()}
        positions = {name: here for name, here in positions.items() if here.size}
        if any(name not in chosen or np.isin(here, chosen[name]).any() for name, here in positions.items()):
            continue
        name, here = next(iter(positions.items()))
        best = here[np.argmax(scores[name][here])] if scores else here[0]
        chosen[name] = np.union1d(chosen[name], [best])
    return chosen


def prefixed(graph: ChannelGraph, keep: Mapping[str, Any]) -> dict[str, np.ndarray]:
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


def faults_of_slices(graph: ChannelGraph, alive: np.ndarray) -> list[str]:
    """Returns a fault for every tensor without a channel left."""
    kept = graph.classes_with(alive)
    return [
        f"no channel of the output of {name!r} would be kept. Keep one of those it reads from "
        + ", ".join(repr(own) for own, group in graph.groups.items() if np.isin(group.classes, classes).any())
        + "."
        for name, classes in graph.slices_of_groups
        if not kept[classes].any()
    ]


def faults_of_sums(graph: ChannelGraph, alive: np.ndarray) -> list[str]:
    """Returns a fault for every padded branch that does not keep a prefix of the channels its trunk keeps."""
    faults = []
    for sum_ in graph.padded:
        branch, trunk = np.flatnonzero(alive[sum_.branch]), np.flatnonzero(alive[sum_.trunk])
        if branch.size > trunk.size or (branch != trunk[: branch.size]).any():
            faults.append(
                f"the branch into {sum_.node.operation.name!r} must keep the first channels of its trunk. "
                f"Received: {branch[:8].tolist()}… of {trunk[:8].tolist()}…. Sort with kp.reorder first."
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
