"""The vocabulary of a graph: channel ids of tensors, variables and configs that follow them, groups and blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

Count = Callable[[np.ndarray], int]
"""Number of channels kept of an array of ids."""

Take = Callable[[np.ndarray], np.ndarray]
"""Positions kept of an array of ids, in their order."""


def once(count: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], Any]:
    """Returns a memoised function of arrays of ids, such as their count."""
    counted: dict[int, tuple[np.ndarray, Any]] = {}  # ids are kept, so that no other array has their id

    def remembered(ids: np.ndarray) -> Any:
        if id(ids) not in counted:
            counted[id(ids)] = ids, count(ids)
        return counted[id(ids)][1]

    return remembered


def take_positions(array: np.ndarray, ids: Mapping[int, np.ndarray], take: Take) -> np.ndarray:
    """Returns an array cut to the positions kept along the axes that carry channels, `{axis: ids}`."""
    for axis, line in ids.items():
        array = np.take(array, take(line), axis=axis)
    return array


@dataclass(frozen=True)
class Ids:
    """The channel ids of one tensor: its shape, and an array of ids for each axis that carries channels.

    Args:
        shape: The tensor's shape, batch axis first; `None` for a size that is free.
        axes: `{axis: ids}` with non-negative axes; `ids` is 1-D, as long as the axis.
    """

    shape: tuple[int | None, ...]
    axes: Mapping[int, np.ndarray] = field(default_factory=dict)

    def moved(self, shape: tuple[int | None, ...], order: Sequence[int | None]) -> Ids:
        """Returns the ids of a tensor of another shape, whose axis i is the axis `order[i]` of this one.

        Args:
            shape: The shape.
            order: `None` for a new axis; an axis that is not named is removed.
        """
        return Ids(shape, {new: self.axes[old] for new, old in enumerate(order) if old in self.axes})


@dataclass
class Slice:
    """A variable of a layer, with the channel ids along its axes.

    Args:
        owner: The layer that owns the variable.
        variable: The variable.
        ids: For each of its axes the channel ids along it, or `None` if the axis carries none.
        reads: The axes along which channels are read: a removed channel must not be seen along them.
        makes: The axes along which channels are made: a masked channel has zeros along them.
        role: `"kernel"`, `"scale"` (BatchNorm γ), `"bias"` or `"state"`.
        positions: Output positions of each call; a kernel costs `size · positions` multiply–adds. `None` if free.
        factor: Factor of the values after pruning (attention scales by the size of its keys).
        silent: The value of a masked channel: infinity for a variance, so that only β remains.
    """

    owner: keras.layers.Layer
    variable: Any
    ids: tuple[np.ndarray | None, ...]
    reads: tuple[int, ...] = ()
    makes: tuple[int, ...] = ()
    role: str = "state"
    positions: list[int | None] = field(default_factory=list)
    factor: Callable[[Count], float] | None = None
    silent: float = 0.0

    def taken(self, array: np.ndarray, take: Take) -> np.ndarray:
        """Returns an array of the variable's shape, cut along every channel axis to the positions kept."""
        return take_positions(array, {axis: ids for axis, ids in enumerate(self.ids) if ids is not None}, take)


@dataclass(frozen=True)
class Product:
    """A product of tensors, none of which is a weight, such as the scores of attention.

    Args:
        operation: The layer or operation that multiplies.
        sizes: All axes but the batch, those summed over included: channel ids, or a size; `None` if free.
    """

    operation: Any
    sizes: tuple[np.ndarray | int | None, ...]


@dataclass(frozen=True)
class Setting:
    """A config entry that follows the channels: `config[key[0]][key[1]]… = value(count)`."""

    owner: Any
    key: tuple[str | int, ...]
    value: Callable[[Count], Any]


@dataclass(frozen=True)
class Block:
    """A part of a model that can be removed whole.

    Args:
        name: Name of the layer where the part ends: the sum of a residual branch, the concatenation of a dense layer,
            the convolution of a plain block.
        kind: `"residual"`, `"dense"` or `"plain"`.
        layers: Names of the layers removed.
        source: The input of the block.
        branch: The tensor that no longer exists without the block.
        target: The output of the block; `source` takes its place.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> branch = keras.layers.Dense(4, name="branch")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add(name="sum")([inputs, branch])))
        >>> block = kp.trace(model).blocks["sum"]
        >>> block.kind, block.layers
        ('residual', ('branch',))
    """

    name: str
    kind: str
    layers: tuple[str, ...]
    source: Any = field(default=None, repr=False, compare=False)
    branch: Any = field(default=None, repr=False, compare=False)
    target: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Padded:
    """A sum in which a branch may be narrower than the trunk: it is added to the trunk's first channels.

    Args:
        node: The call of the sum.
        index: Index of the branch among its operands.
        axis: The channel axis.
        trunk: Ids of the trunk.
        branch: Ids of the branch, position by position.
    """

    node: Any
    index: int
    axis: int
    trunk: np.ndarray
    branch: np.ndarray


@dataclass(frozen=True)
class Split:
    """A channel axis reshaped into two; `grouping.settle` decides which of the two carries the channels."""

    flat: np.ndarray
    outer: np.ndarray
    inner: np.ndarray


@dataclass(frozen=True)
class Group:
    """Channels coupled one to one.

    Args:
        name: Name of the first layer that makes the channels; stable across runs.
        size: Number of channels that can be kept or pruned individually.
        layers: Names of the layers that make channels of the group.
        prunable: Whether its channels may be pruned.
        reason: Why all its channels are kept; empty if prunable.
        classes: The channel classes, in order of their first channel.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> kp.trace(model).groups["hidden"]
        Group(name='hidden', size=8, layers=('hidden',), prunable=True, reason='')
    """

    name: str
    size: int
    layers: tuple[str, ...]
    prunable: bool
    reason: str = ""
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False, compare=False)


@dataclass(frozen=True)
class Unknown:
    """A layer without a rule that was frozen: its channels are kept."""

    name: str
    kind: str


@dataclass(frozen=True)
class TracedCall:
    """One call of a layer or operation, with the channel ids of its inputs and outputs."""

    operation: Any
    node: Any
    inputs: tuple[Ids, ...]
    outputs: tuple[Ids, ...]
