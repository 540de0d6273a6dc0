"""Legal choices of channels: no tensor is left empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.residual_trunks import prefixed


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
