"""The candidates for removal: channels, blocks of weights or single weights, each with its kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.criteria.base import Criterion, sum_by_unit
from kerasprune.criteria.magnitude import L1
from kerasprune.training.in_step import lowest, state_variable

PRUNED = "pruned/"
"""Prefix of the names under which the state of a fit holds what is removed."""


@dataclass(frozen=True)
class Part:
    """One kernel of a unit, and the entry of the unit that each of its positions belongs to.

    Args:
        variable: The kernel.
        axis: The axis along which the entries lie; `None` if they are weights, or blocks of them.
        entry: The index of the entry of each position of the axis (or of each weight, in the kernel's shape); −1: none.
            Defaults to `None`: every weight is its own entry.
        pool: How the scores of its weights make that of an entry: `"sum"`, `"mean"` (for entries of different sizes)
            or `"max"`. Defaults to `"sum"`.
        inputs: The axes that an output is a sum over. Defaults to `None`: the last but one.
    """

    variable: Any
    axis: int | None = None
    entry: np.ndarray | None = None
    pool: str = "sum"
    inputs: tuple[int, ...] | None = None

    def spread(self, values: Any) -> Any:
        """Returns one value per entry as a tensor that broadcasts to the kernel; zero at positions without an entry."""
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
        """Returns the score of every entry, by default the L1 norm of its weights."""
        worth = saliency(ops.cast(ops.stop_gradient(ops.convert_to_tensor(self.variable)), "float32"))
        if self.pool == "max":
            return ops.segment_max(ops.reshape(worth, (-1,)), self.entry.ravel(), num_segments=size)
        total = sum_by_unit(worth, self.axis, self.entry, size)
        if self.pool == "mean":
            return total / np.bincount(self.entry.ravel(), minlength=size).astype("float32")
        return total


@dataclass(frozen=True)
class Unit:
    """Entries that compete with one another: the channels of a group, or the weights of a kernel.

    Args:
        name: Name of the group, or path of the kernel.
        size: Number of entries.
        kept: Number of entries to keep.
        parts: The kernels.
        pruned: Whether each entry is removed: a variable, so that the compiled step can decide.
    """

    name: str
    size: int
    kept: int
    parts: tuple[Part, ...]
    pruned: keras.Variable

    @classmethod
    def of(cls, name: str, size: int, kept: int, parts: tuple[Part, ...]) -> Unit:
        """Returns a unit with all entries marked as pruned."""
        return cls(name, size, kept, parts, state_variable(np.ones(size, bool), "pruned"))

    @property
    def state(self) -> str:
        """The name under which `pruned` is saved with the state of a fit."""
        return f"{PRUNED}{self.name}"

    def scores(self, criterion: Criterion = L1()) -> Any:  # noqa: B008  a frozen value
        """Returns the score of every entry over all kernels of the unit, by default their L1 norm."""
        return criterion.reduced(sum(part.scores(self.size, criterion.saliency) for part in self.parts))

    def lowest(self) -> Any:
        """Returns whether each entry is outside the `kept` of highest L1 norm at this moment."""
        return lowest(self.scores(), self.kept)

    def kept_indices(self) -> np.ndarray:
        """Returns the sorted indices of the entries that are not pruned."""
        return np.flatnonzero(~ops.convert_to_numpy(self.pruned))
