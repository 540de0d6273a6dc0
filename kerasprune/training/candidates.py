"""The candidates for removal: filters, input channels, blocks of weights or single weights, each with its kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.budgets.base import kept_number
from kerasprune.criteria.base import Criterion, summed
from kerasprune.criteria.l1 import L1
from kerasprune.errors import PruneError, nearest, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.training.state_variable import state_variable


@dataclass(frozen=True)
class Part:
    """One kernel of a unit, and which entry of the unit each of its positions belongs to.

    Args:
        variable: The kernel.
        axis: The axis along which the entries lie, or `None` where they are weights, or blocks of them.
        entry: For each position of the axis (or each weight, in the kernel's shape) the index of its entry; −1 = none.
            Defaults to `None`: every weight is an entry of its own.
    """

    variable: Any
    axis: int | None = None
    entry: np.ndarray | None = None

    def spread(self, values: Any) -> Any:
        """Returns one value per entry as a tensor that broadcasts to the kernel; zero where there is no entry."""
        if self.entry is None:
            return ops.reshape(values, self.variable.shape)
        size = values.shape[0]
        ended = ops.concatenate([values, ops.zeros_like(values[:1])])
        placed = ops.take(ended, self.entry % (size + 1))  # −1 takes the zero at the end
        if self.axis is None:
            return placed
        return ops.reshape(placed, [-1 if a == self.axis else 1 for a in range(len(self.variable.shape))])

    def scores(self, size: int, saliency: Callable[[Any], Any] = abs) -> Any:
        """Returns for every entry the sum of what its weights are worth, by default their L1 norm."""
        weight = ops.cast(ops.stop_gradient(ops.convert_to_tensor(self.variable)), "float32")
        return summed(saliency(weight), self.axis, self.entry, size)


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
        return cls(name, size, kept, parts, state_variable(np.ones(size, bool), "goes"))

    def scores(self, criterion: Criterion = L1()) -> Any:  # noqa: B008  a frozen value
        """Returns the score of every entry over all kernels of the unit, by default their L1 norm."""
        return criterion.reduced(sum(part.scores(self.size, criterion.saliency) for part in self.parts))

    def lowest(self) -> Any:
        """Returns for every entry whether its L1 norm is too low, at this moment, to be among those that stay."""
        rank = ops.argsort(ops.argsort(-self.scores()))
        return rank >= self.kept

    def stays(self) -> np.ndarray:
        """Returns the sorted indices of the entries that are not to go."""
        return np.flatnonzero(~ops.convert_to_numpy(self.goes))


def losing(units: Sequence[Unit]) -> list[Unit]:
    """Returns the units that do not stay whole."""
    return [unit for unit in units if unit.kept < unit.size]


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
    """Returns one unit for every group that is named, where some kernel makes (or reads) its channels.

    Args:
        graph: The model's graph.
        granularity: `"filter"`: the kernels that make the channels; `"channel"`: those that read them.
        kept: `{group name: number of channels that stay}`.
    """
    units = []
    for name, number in kept.items():
        parts = tuple(Part(kernel.variable, axis, entry) for kernel, axis, entry in _KERNELS[granularity](graph, name))
        if parts:
            units.append(Unit.of(name, graph.groups[name].size, number, parts))
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


def weight_numbers(graph: ChannelGraph, keep: float | Mapping[str, float]) -> dict[str, int]:
    """Returns `{path of the kernel: number of weights that stay}`, biases and BatchNorm left out.

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
    return {
        kernel.variable.path: kept_number(int(np.prod(kernel.variable.shape)), fractions.get(kernel.owner.name, 1.0))
        for kernel in graph.kernels
    }


def weight_units(graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
    """Returns one unit for every kernel that is named.

    Args:
        graph: The model's graph.
        kept: `{path of the kernel: number of weights that stay}`.

    Raises:
        PruneError: Two kernels have the same path.
    """
    units: dict[str, Unit] = {}
    for kernel in graph.kernels:
        path = kernel.variable.path
        if path in units:
            raise PruneError(
                f"Expected kernels with names of their own. Received: two with the path {path!r}. "
                "Rename one of the layers."
            )
        if path in kept:
            size = int(np.prod(kernel.variable.shape))
            units[path] = Unit.of(path, size, kept[path], (Part(kernel.variable),))
    return list(units.values())
