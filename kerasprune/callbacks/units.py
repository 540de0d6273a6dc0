"""What growing regularisation acts on: filters, input channels or single weights, each with its kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.budgets.base import kept_number
from kerasprune.channels import Slice
from kerasprune.errors import PruneError, nearest, raise_faults
from kerasprune.graph import ChannelGraph


@dataclass(frozen=True)
class Part:
    """One kernel of a unit, and which entry of the unit each of its positions belongs to.

    Args:
        variable: The kernel.
        axis: The axis along which the entries lie, or `None` where every single weight is an entry.
        entry: For each position of the axis the index of its entry; −1 = none.
    """

    variable: Any
    axis: int | None = None
    entry: np.ndarray | None = None

    def spread(self, values: Any) -> Any:
        """Returns one value per entry as a tensor that broadcasts to the kernel; zero where there is no entry."""
        if self.axis is None:
            return ops.reshape(values, self.variable.shape)
        size = values.shape[0]
        line = ops.take(ops.append(values, 0.0), self.entry % (size + 1))  # −1 takes the zero at the end
        return ops.reshape(line, [-1 if a == self.axis else 1 for a in range(len(self.variable.shape))])

    def norms(self, size: int) -> Any:
        """Returns the L1 norm of every entry."""
        weight = ops.abs(ops.stop_gradient(ops.convert_to_tensor(self.variable)))
        if self.axis is None:
            return ops.reshape(weight, (-1,))
        line = ops.sum(weight, axis=[a for a in range(len(self.variable.shape)) if a != self.axis])
        return ops.segment_sum(line, self.entry % (size + 1), num_segments=size + 1)[:size]


@dataclass(frozen=True)
class Unit:
    """Things that compete with one another: the channels of a group, or the weights of a kernel.

    Args:
        name: Name of the group, or path of the kernel.
        size: Number of entries.
        kept: How many of them stay.
        parts: The kernels.
        goes: For every entry whether it is to go: a variable, so that it can be settled inside the compiled step.
    """

    name: str
    size: int
    kept: int
    parts: tuple[Part, ...]
    goes: keras.Variable

    @classmethod
    def of(cls, name: str, size: int, kept: int, parts: tuple[Part, ...]) -> Unit:
        """Returns a unit, all of whose entries are to go."""
        goes = keras.Variable(
            np.ones(size, bool), dtype="bool", trainable=False, aggregation="only_first_replica", name="goes"
        )
        return cls(name, size, kept, parts, goes)

    def norms(self) -> Any:
        """Returns the L1 norm of every entry over all kernels of the unit."""
        return sum(part.norms(self.size) for part in self.parts)

    def lowest(self) -> Any:
        """Returns for every entry whether its L1 norm is too low, at this moment, to be among those that stay."""
        rank = ops.argsort(ops.argsort(-self.norms()))
        return rank >= self.kept

    def stays(self) -> np.ndarray:
        """Returns the sorted indices of the entries that are not to go."""
        return np.flatnonzero(~ops.convert_to_numpy(self.goes))


_KERNELS: dict[str, Callable[[ChannelGraph, str], list[tuple[Slice, int, np.ndarray]]]] = {
    "filter": ChannelGraph.made_by,
    "channel": ChannelGraph.read_by,
}
GRANULARITIES = (*_KERNELS, "weight")


def granularity_faults(granularity: Any) -> list[str]:
    """Returns what is wrong with the name of a granularity."""
    if granularity in GRANULARITIES:
        return []
    return [
        f"Expected granularity to be one of {GRANULARITIES}. Received: granularity={granularity!r}."
        f"{nearest(granularity, GRANULARITIES)}"
    ]


def channel_units(graph: ChannelGraph, granularity: str, kept: Mapping[str, int]) -> list[Unit]:
    """Returns one unit for every group that loses channels.

    Args:
        graph: The model's graph.
        granularity: `"filter"`: the kernels that make the channels; `"channel"`: those that read them.
        kept: `{group name: number of channels that stay}`.
    """
    units = []
    for name, number in kept.items():
        size = graph.groups[name].size
        parts = tuple(Part(kernel.variable, axis, entry) for kernel, axis, entry in _KERNELS[granularity](graph, name))
        if number < size and parts:
            units.append(Unit.of(name, size, number, parts))
    return units


def channel_numbers(graph: ChannelGraph, keep: float | Mapping[str, float]) -> dict[str, int]:
    """Returns `{group name: number of channels that stay}`.

    Args:
        graph: The model's graph.
        keep: Fraction of the channels of every prunable group that stays, or `{group name: fraction}` for some.

    Raises:
        PruneError: A name is not that of a group, or the group must stay whole.
    """
    fractions = keep if isinstance(keep, Mapping) else dict.fromkeys(graph.prunable, keep)
    numbers = {name: kept_number(graph.group(name).size, fraction) for name, fraction in fractions.items()}
    faults = [
        f"group {name!r} must stay whole: {graph.groups[name].reason}."
        for name, number in numbers.items()
        if number < graph.groups[name].size and not graph.groups[name].prunable
    ]
    raise_faults("The channels asked for cannot be removed:", faults)
    return numbers


def weight_units(graph: ChannelGraph, keep: float | Mapping[str, float]) -> list[Unit]:
    """Returns one unit for every kernel that loses weights, biases and BatchNorm left out.

    Args:
        graph: The model's graph.
        keep: Fraction of the weights of every kernel that stays, or `{layer name: fraction}` for some layers.

    Raises:
        PruneError: A name is not that of a layer with a kernel.
    """
    owners = {kernel.owner.name for kernel in graph.kernels}
    fractions = keep if isinstance(keep, Mapping) else dict.fromkeys(owners, keep)
    faults = [f"Received: {name!r}.{nearest(name, owners)}" for name in fractions if name not in owners]
    raise_faults("Expected the names of layers with a kernel.", faults)
    units: dict[str, Unit] = {}
    for kernel in graph.kernels:
        size = int(np.prod(kernel.variable.shape))
        number = kept_number(size, fractions.get(kernel.owner.name, 1.0))
        if number < size:
            unit = Unit.of(kernel.variable.path, size, number, (Part(kernel.variable),))
            if unit.name in units:
                raise PruneError(
                    f"Expected kernels with names of their own. Received: two with the path {unit.name!r}. "
                    "Rename one of the layers."
                )
            units[unit.name] = unit
    return list(units.values())
