"""The candidates for removal: channels, blocks of weights or single weights, each with its kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.attaching.in_step import lowest, state_variable
from kerasprune.criteria.base import Criterion, summed
from kerasprune.criteria.magnitude import L1


@dataclass(frozen=True)
class Part:
    """One kernel of a unit, and which entry of the unit each of its positions belongs to.

    Args:
        variable: The kernel.
        axis: The axis along which the entries lie, or `None` where they are weights, or blocks of them.
        entry: For each position of the axis (or each weight, in the kernel's shape) the index of its entry; −1 = none.
            Defaults to `None`: every weight is an entry of its own.
        pool: What an entry is worth to what its weights are: their `"sum"`, their `"mean"` (so that entries of
            different sizes compete as equals) or their `"max"`. Defaults to `"sum"`.
        inputs: The axes that an output is a sum over; `()` where there is none. Defaults to `None`: the last but one.
    """

    variable: Any
    axis: int | None = None
    entry: np.ndarray | None = None
    pool: str = "sum"
    inputs: tuple[int, ...] | None = None

    def spread(self, values: Any) -> Any:
        """Returns one value per entry as a tensor that broadcasts to the kernel; zero where there is no entry."""
        values = ops.convert_to_tensor(values)
        if self.entry is None:
            return ops.reshape(values, self.variable.shape)
        size = values.shape[0]
        ended = ops.concatenate([values, ops.zeros_like(values[:1])])
        placed = ops.take(ended, self.entry % (size + 1))  # −1 takes the zero at the end
        if self.axis is None:
            return placed
        return ops.reshape(placed, [-1 if a == self.axis else 1 for a in range(len(self.variable.shape))])

    def scores(self, size: int, saliency: Callable[[Any], Any] = abs) -> Any:
        """Returns what every entry is worth, by default by the sum of the L1 norms of its weights."""
        worth = saliency(ops.cast(ops.stop_gradient(ops.convert_to_tensor(self.variable)), "float32"))
        if self.pool == "max":
            return ops.segment_max(ops.reshape(worth, (-1,)), self.entry.ravel(), num_segments=size)
        total = summed(worth, self.axis, self.entry, size)
        if self.pool == "mean":
            return total / np.bincount(self.entry.ravel(), minlength=size).astype("float32")
        return total


@dataclass(frozen=True)
class Unit:
    """Entries that compete with one another: the channels of a group, or the weights of a kernel.

    Args:
        name: Name of the group, or path of the kernel.
        size: Number of entries.
        kept: How many of them are to be kept.
        parts: The kernels.
        pruned: For every entry whether it is removed: a variable, so that the compiled step can decide.
    """

    name: str
    size: int
    kept: int
    parts: tuple[Part, ...]
    pruned: keras.Variable

    @classmethod
    def of(cls, name: str, size: int, kept: int, parts: tuple[Part, ...]) -> Unit:
        """Returns a unit, all of whose entries are marked as pruned."""
        return cls(name, size, kept, parts, state_variable(np.ones(size, bool), "pruned"))

    @property
    def state(self) -> str:
        """The name under which `pruned` is saved with the state of a fit."""
        return f"goes/{self.name}"  # as version 0.1 wrote it, whose fits can be continued

    def scores(self, criterion: Criterion = L1()) -> Any:  # noqa: B008  a frozen value
        """Returns the score of every entry over all kernels of the unit, by default their L1 norm."""
        return criterion.reduced(sum(part.scores(self.size, criterion.saliency) for part in self.parts))

    def lowest(self) -> Any:
        """Returns for every entry whether its L1 norm is too low, at this moment, to be among the `kept`."""
        return lowest(self.scores(), self.kept)

    def kept_indices(self) -> np.ndarray:
        """Returns the sorted indices of the entries that are not pruned."""
        return np.flatnonzero(~ops.convert_to_numpy(self.pruned))
