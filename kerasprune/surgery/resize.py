"""`resize`: the same architecture with other widths, narrower or wider, and fresh weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import keras
import numpy as np

from kerasprune.errors import nearest, raise_faults, short
from kerasprune.graph.channels import Count, once
from kerasprune.graph.graph import ChannelGraph
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import leave_out, make_layer
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.surgery.gates import without_gates
from kerasprune.surgery.rebuild import config_changes


class GroupSizes:
    """Counts channels of a graph whose groups have other sizes, larger ones too.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self._owner = graph.places[0][graph.classes]  # for every id the number of its group, −1 where it has none
        self._numbers = once(self._counted)

    @cached_property
    def fixed(self) -> dict[str, str]:
        """The groups that must keep their size, and why."""
        groups = list(self.graph.groups.items())
        found = {name: group.reason for name, group in groups if not group.prunable}
        sizes = np.array([group.size for _, group in groups])
        for layer, ids in self._lines():
            for number in np.flatnonzero(self._counted(ids) % sizes):
                found.setdefault(groups[number][0], f"{layer!r} has a part of its channels")
        for call in self.graph.calls:
            if any((id(call.node), index) in self.graph.arguments for index in range(len(call.node.arguments.args))):
                lines = [ids for output in call.outputs for ids in output.axes.values()]
                for number in {int(n) for ids in lines for n in self._owner[ids] if n >= 0}:
                    found.setdefault(groups[number][0], f"{call.operation.name!r} has a constant for each channel")
        return found

    def counter(self, widths: Mapping[str, int]) -> Count:
        """Returns a memoised function from ids to the number of channels with these sizes of groups."""
        sizes = np.array([group.size for group in self.graph.groups.values()])
        new = np.array([widths.get(name, group.size) for name, group in self.graph.groups.items()])

        def count(ids: np.ndarray) -> int:
            numbers = self._numbers(ids)
            return int((numbers * new // sizes).sum())

        return count

    def _counted(self, ids: np.ndarray) -> np.ndarray:
        """Returns how many channels of each group are in an array of ids."""
        owners = self._owner[ids]
        return np.bincount(owners[owners >= 0], minlength=len(self.graph.groups))

    def _lines(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields every line of channels, with the layer where it is."""
        for entry in self.graph.slices:
            yield from ((entry.owner.name, ids) for ids in entry.ids if ids is not None)
        for call in self.graph.calls:
            yield from ((call.operation.name, ids) for output in call.outputs for ids in output.axes.values())


def resize(graph: ChannelGraph, widths: Mapping[str, int], seed: int = 0) -> keras.Model:
    """Builds the same architecture with other widths and fresh weights.

    Args:
        graph: The graph of the model, which is left untouched, with `coupling="tied"` or `"free"`.
        widths: `{group name: number of channels}`, smaller or larger than now; groups that are not listed keep theirs.
        seed: Random seed of the weights. Defaults to 0.

    Returns:
        A functional model, not compiled. Its `Normalization` layers have what they were adapted to.

    Raises:
        PruneError: A group is not known, must keep its size, or would have no channel.

    Example:
        >>> import keras, kerasprune as kp
        >>> layers = [keras.Input((4,)), keras.layers.Dense(3, name="first"), keras.layers.Dense(2)]
        >>> resize(kp.trace(keras.Sequential(layers)), {"first": 7}).get_layer("first").units
        7
    """
    counted = GroupSizes(graph)
    raise_faults(f"{graph.model.name!r} cannot be resized:", _faults(counted, widths))
    changes = config_changes(graph, counted.counter(widths))
    new, _ = clone(graph.model, lambda layer: make_layer(layer, changes.get(id(layer), {}), leave_out))
    return reinitialise(without_gates(new), seed=seed)


def _faults(counted: GroupSizes, widths: Mapping[str, int]) -> list[str]:
    groups, faults = counted.graph.groups, []
    if counted.graph.coupling == "padded":
        faults.append("Expected a graph with coupling 'tied' or 'free'. Received: coupling='padded'.")
    for name, width in widths.items():
        if name not in groups:
            faults.append(f"no group is called {short(name)}.{nearest(name, groups)}")
        elif not isinstance(width, int | np.integer) or isinstance(width, bool) or width < 1:
            faults.append(f"Expected group {short(name)} to have 1 channel or more. Received: {short(width)}.")
        elif width != groups[name].size and name in counted.fixed:
            faults.append(f"group {short(name)} must keep its {groups[name].size} channels: {counted.fixed[name]}.")
    return faults
