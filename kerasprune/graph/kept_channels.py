"""Legal choices of channels: no tensor is left empty, and devices that share an axis have parts of equal width."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.residual_trunks import prefix_branches


def kept_number(size: int, keep: float) -> int:
    """Returns the number of channels kept of `size`: `size − min(⌈(1 − keep)·size⌉, size − 1)`.

    Example:
        >>> kept_number(10, 0.3)  # (1 − 0.3)·10 is 7.000000000000001 in binary
        3
    """
    return size - min(ceil(round((1 - keep) * size, 9)), size - 1)


def legal(
    graph: ChannelGraph, keep: Mapping[str, Any], scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Returns the legal choice nearest to `keep`: `fill_slices`, then `divisible`, then `prefix_branches`.

    Args:
        graph: The graph.
        keep: `{group name: indices kept}`.
        scores: As for `fill_slices`.
    """
    return prefix_branches(graph, divisible(graph, fill_slices(graph, keep, scores), scores))


def fill_slices(
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


def divisible(
    graph: ChannelGraph, keep: Mapping[str, Any], scores: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Returns a choice that removes of every group a multiple of the devices that share its channels.

    Args:
        graph: The graph.
        keep: `{group name: indices kept}`.
        scores: `{group name: one score per channel}`; the best of the others are kept too. Defaults to the first.
    """
    chosen = {name: np.asarray(indices, int) for name, indices in keep.items()}
    for name in graph.multiples.keys() & chosen.keys():
        others = np.setdiff1d(np.arange(graph.groups[name].size), chosen[name])
        best = others[np.argsort(-np.asarray(scores[name])[others], kind="stable")] if scores else others
        more = divisible_number(graph, name, len(chosen[name])) - len(chosen[name])
        chosen[name] = np.union1d(chosen[name], best[:more])
    return chosen


def divisible_number(graph: ChannelGraph, name: str, kept: int) -> int:
    """Returns the least number of channels, from `kept` on, that devices can share, of a group by name."""
    return kept + (graph.groups[name].size - kept) % graph.multiples.get(name, 1)


def faults_of_shards(graph: ChannelGraph, alive: np.ndarray) -> list[str]:
    """Returns a fault for every group by which an axis has a width that its devices cannot share."""
    faults: dict[str, str] = {}
    for axis in graph.sharded_axes:
        width = int(alive[axis.ids].sum())
        if width % axis.devices:
            classes = graph.classes[axis.ids]
            name = next(name for name, group in graph.groups.items() if np.isin(group.classes, classes).any())
            faults.setdefault(
                name,
                f"{width} channels of group {name!r} would be left in {axis.owner.name!r}, whose weights "
                f"{axis.devices} devices share along the axis {axis.mesh_axis!r} of their mesh. Make the plan with "
                f"kp.plan() under the same distribution, or elsewhere with round_to={axis.devices}.",
            )
    return list(faults.values())


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
