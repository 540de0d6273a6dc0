"""What growing regularisation acts on: filters, input channels or single weights, each with its kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from kerasprune.budgets.base import kept_number
from kerasprune.errors import PruneError, nearest
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
    axis: int | None
    entry: np.ndarray

    def spread(self, values: Any) -> Any:
        """Returns one value per entry as a tensor that broadcasts to the kernel; zero where there is no entry."""
        if self.axis is None:
            return ops.reshape(values, self.variable.shape)
        if (self.entry == np.arange(values.shape[0])).all() if self.entry.size == values.shape[0] else False:
            line = values
        else:
            line = ops.where(self.entry >= 0, ops.take(values, np.maximum(self.entry, 0)), 0.0)
        return ops.reshape(line, [-1 if a == self.axis else 1 for a in range(len(self.variable.shape))])

    def norms(self, size: int) -> Any:
        """Returns the L1 norm of every entry."""
        weight = ops.abs(ops.stop_gradient(ops.convert_to_tensor(self.variable)))
        if self.axis is None:
            return ops.reshape(weight, (-1,))
        line = ops.sum(weight, axis=[a for a in range(len(self.variable.shape)) if a != self.axis])
        return ops.segment_sum(line, np.where(self.entry < 0, size, self.entry), num_segments=size + 1)[:size]


@dataclass(frozen=True)
class Unit:
    """Things that compete with one another: the channels of a group, or the weights of a kernel.

    Args:
        name: Name of the group, or path of the kernel.
        size: Number of entries.
        kept: How many of them stay.
        parts: The kernels.
    """

    name: str
    size: int
    kept: int
    parts: tuple[Part, ...]

    def norms(self) -> Any:
        """Returns the L1 norm of every entry over all kernels of the unit."""
        total = self.parts[0].norms(self.size)
        for part in self.parts[1:]:
            total = total + part.norms(self.size)
        return total


def _filters(graph: ChannelGraph, name: str) -> tuple[Part, ...]:
    return tuple(Part(k.variable, axis, entry) for k, axis, entry in graph.made_by(name))


def _channels(graph: ChannelGraph, name: str) -> tuple[Part, ...]:
    return tuple(Part(k.variable, axis, entry) for k, axis, entry in graph.read_by(name))


_PARTS: dict[str, Callable[[ChannelGraph, str], tuple[Part, ...]]] = {
    "filter": _filters,
    "channel": _channels,
}
GRANULARITIES = (*_PARTS, "weight")


def check_granularity(granularity: str) -> str:
    """Returns the granularity, or says which ones there are."""
    if granularity not in GRANULARITIES:
        raise PruneError(
            f"Expected granularity to be one of {GRANULARITIES}. Received: granularity={granularity!r}."
            f"{nearest(granularity, GRANULARITIES)}"
        )
    return granularity


def channel_units(graph: ChannelGraph, granularity: str, kept: Mapping[str, int]) -> list[Unit]:
    """Returns one unit for every group that loses channels."""
    units = []
    for name, number in kept.items():
        group = graph.groups[name]
        parts = _PARTS[granularity](graph, name)
        if number < group.size and parts:
            units.append(Unit(name, group.size, number, parts))
    return units


def weight_units(graph: ChannelGraph, keep: float | Mapping[str, float]) -> list[Unit]:
    """Returns one unit for every kernel, biases and BatchNorm left out.

    Args:
        graph: The model's graph.
        keep: Fraction of the weights of every kernel that stays, or `{layer name: fraction}` for some layers.
    """
    units = []
    for kernel in graph.kernels:
        fraction = keep.get(kernel.owner.name, 1.0) if isinstance(keep, Mapping) else keep
        size = int(np.prod(kernel.variable.shape))
        number = kept_number(size, fraction)
        if number < size:
            part = Part(kernel.variable, None, np.arange(size))
            units.append(Unit(kernel.variable.path, size, number, (part,)))
    return units
