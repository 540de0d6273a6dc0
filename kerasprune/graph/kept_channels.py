"""Makes choices of channels legal: no tensor is left empty, padded branches keep the first channels of their trunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasprune.graph.channels import Padded
from kerasprune.graph.graph import ChannelGraph


def legal(
    graph: ChannelGraph, keep: Mapping[str, Any], scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Returns the legal choice nearest to one: `filled`, then `prefixed`.

    Args:
        graph: The graph.
        keep: `{group name: indices kept}`.
        scores: `{group name: one score per channel}`. Defaults to none: the first channel is kept where one is lacking.
    """
    return prefixed(graph, filled(graph, keep, scores))


def filled(
    graph: ChannelGraph, keep: Mapping[str, Any], scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Returns a choice that leaves something of every tensor: of a slice that would be empty, one channel stays.

    Args:
        keep: `{group name: indices kept}`.
        scores: `{group name: one score per channel}`; the highest stays. Defaults to the first one.
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
    """Returns a choice in which every branch that is padded keeps the first of the channels its trunk keeps.

    Args:
        keep: `{group name: indices kept}`.

    Returns:
        The same numbers of channels, other ones in the groups that end in a padded sum.
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
    """Returns which tensors would have no channel left."""
    stays = np.zeros(graph.classes.max(initial=-1) + 1, bool)
    stays[graph.classes[alive]] = True
    return [
        f"no channel of the output of {name!r} would stay. Keep one of what it takes from {_owners(graph, classes)}."
        for name, classes in graph.slices_of_groups
        if not stays[classes].any()
    ]


def faults_of_sums(graph: ChannelGraph, alive: np.ndarray) -> list[str]:
    """Returns where a padded branch does not keep a prefix of what its trunk keeps."""
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
    """Returns a choice in which one branch keeps the first of the channels its trunk keeps."""
    alive = graph.alive(chosen)
    first = np.flatnonzero(alive[sum_.trunk])[: int(alive[sum_.branch].sum())]
    inside, stays = np.zeros((2, graph.classes.max(initial=-1) + 1), bool)
    inside[graph.classes[sum_.branch]] = True
    stays[graph.classes[alive]] = True
    stays[graph.classes[sum_.branch]] = False
    stays[graph.classes[sum_.branch[first]]] = True
    changed = {
        name: np.flatnonzero(stays[group.classes])
        for name, group in graph.prunable.items()
        if inside[group.classes].any()
    }
    return {**chosen, **changed}


def _owners(graph: ChannelGraph, classes: np.ndarray) -> str:
    return ", ".join(repr(name) for name, group in graph.groups.items() if np.isin(group.classes, classes).any())
