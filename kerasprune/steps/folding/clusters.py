"""Clusters of channels: which of a group are alike, and which groups cannot be merged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.surgery.reordering import is_whole_everywhere

Array = Callable[[Slice], np.ndarray]
"""The present values of a variable."""


def obstacle(graph: ChannelGraph, name: str) -> str:
    """Returns why the channels of a group cannot be merged; empty if they can."""
    classes, made = graph.groups[name].classes, graph.made_by(name)

    def touches(ids: np.ndarray) -> bool:
        return bool(np.isin(classes, graph.classes[ids]).any())

    if not made:
        return "no kernel makes them"
    for layer, _, ids in graph.norms:
        if touches(ids):
            return f"{layer.name!r} takes statistics over them"
    if any(touches(ids) for sum_ in graph.padded for ids in (sum_.trunk, sum_.branch)):
        return "a narrower branch is added to the first of them"
    reading = {(id(entry), axis) for entry, axis, _ in graph.read_by(name)}
    for entry, axis, _ in made:
        if (id(entry), axis) in reading:
            return f"{entry.owner.name!r} makes and reads them along one axis"
    return "" if is_whole_everywhere(graph, classes) else "a tensor holds only some of them"


def vectors(graph: ChannelGraph, name: str, array: Array) -> np.ndarray:
    """Returns a vector for each channel of a group: its rows in all kernels that make it, each divided by its RMS."""
    size, parts = graph.groups[name].size, []
    for entry, axis, channel in graph.made_by(name):
        kernel = np.moveaxis(array(entry), axis, 0).astype("float64")
        order = np.argsort(channel, kind="stable")
        rows = kernel[order[channel[order] >= 0]].reshape(size, -1)  # a channel may lie at several positions
        parts.append(rows / max(np.sqrt(np.square(rows).mean()), 1e-12))
    return np.concatenate(parts, axis=1)


def representatives(rows: np.ndarray, number: int) -> np.ndarray:
    """Returns for each row the index of the first in its cluster; clusters by Ward's method, as many as asked for.

    Two clusters are merged whose union adds least to `Σ ‖row − mean of its cluster‖²`.

    Example:
        >>> import numpy as np
        >>> representatives(np.array([[0.0], [5.0], [0.1], [5.0]]), 2).tolist()
        [0, 1, 0, 1]
    """
    size = len(rows)
    found = np.arange(size)
    if number == size:
        return found
    products = rows @ rows.T
    squares = np.diag(products)[:, None] + np.diag(products) - 2 * products
    distances = squareform(np.sqrt(np.maximum(squares, 0.0)), checks=False)
    members = {index: [index] for index in range(size)}
    for new, (one, other) in enumerate(linkage(distances, "ward")[: size - number, :2].astype(int), size):
        members[new] = members.pop(one) + members.pop(other)
    for each in members.values():
        found[each] = min(each)
    return found
