"""The channel graph: which channels of a model are coupled, and everything that follows them.

The one idea of the library: the channel axis of every tensor is an integer array of *channel ids*. A layer rule
does to the ids what the layer does to channels. Ids that end up tied live and die together; a set of ids tied
together is a *channel class*, and the classes that run through the same layers form a `Group`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError, nearest

Count = Callable[[np.ndarray], int]
"""Says how many channels of an array of ids stay."""

Stays = Callable[[np.ndarray], np.ndarray]
"""Says for every one of an array of ids whether its channel stays."""


@dataclass(frozen=True)
class Ids:
    """The channel ids of one tensor: its shape, and an id array for each axis that carries channels.

    Args:
        shape: The tensor's shape, batch axis first; `None` where a size is free.
        axes: `{axis: ids}` with non-negative axes; `ids` is 1-D, as long as the axis.
    """

    shape: tuple[int | None, ...]
    axes: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass
class Slice:
    """How one variable of a layer follows the channels.

    Args:
        owner: The layer that owns the variable.
        variable: The variable.
        ids: For each of its axes the channel ids along it, or `None` where the axis carries none.
        reads: The axes along which channels are read: a removed channel must not be seen along them.
        makes: The axes along which channels are made: a silenced channel has zeros along them.
        role: `"kernel"`, `"scale"` (BatchNorm γ), `"bias"` or `"state"`.
        positions: Output positions of each call; a kernel costs `size · positions` multiply–adds. `None` = free.
        factor: What the values are multiplied by when channels go (attention scales by the size of its keys).
    """

    owner: keras.layers.Layer
    variable: Any
    ids: tuple[np.ndarray | None, ...]
    reads: tuple[int, ...] = ()
    makes: tuple[int, ...] = ()
    role: str = "state"
    positions: list[int | None] = field(default_factory=list)
    factor: Callable[[Count], float] | None = None


@dataclass(frozen=True)
class Setting:
    """A config entry that follows the channels: `config[key[0]][key[1]]… = value(count)`."""

    owner: Any
    key: tuple[str, ...]
    value: Callable[[Count], Any]


@dataclass(frozen=True)
class Block:
    """A part that can be dropped whole."""

    name: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Channels coupled one to one.

    Args:
        name: Name of the first layer that makes the channels; stable across runs.
        size: Number of channels that can be kept or dropped one by one.
        layers: Names of the layers that make channels of the group.
        prunable: Whether the channels may be dropped.
        reason: Why not, where they may not.
        classes: The channel classes, in order of their first channel.
    """

    name: str
    size: int
    layers: tuple[str, ...]
    prunable: bool
    reason: str = ""
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False, compare=False)


@dataclass(frozen=True)
class Unknown:
    """A layer without a rule that was frozen: its channels stay."""

    name: str
    kind: str


@dataclass(frozen=True)
class TracedCall:
    """One call of a layer or operation: the channel ids that went in and came out."""

    operation: Any
    node: Any
    inputs: tuple[Ids, ...]
    outputs: tuple[Ids, ...]


class ChannelGraph:
    """The couplings of one model, as found by `kerasprune.trace`.

    Args:
        model: The traced model.
        coupling: The residual width mode it was traced with.
        classes: Channel class of every id.
        groups: The groups by name.
        blocks: The droppable blocks by name.
        slices: How each variable follows the channels.
        settings: How each config follows the channels.
        norms: Layers that take statistics over channels, with the ids along those channels.
        arguments: `{(node id, argument index): change}`; `change(value, stays)` returns what a constant argument of a
            call becomes.
        calls: Every call in the order of the walk, with the ids that went in and came out.
        unknown: Layers that were frozen for want of a rule.
        resolution: Input side the positions were counted at; `None` = the model's own.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        coupling: str,
        classes: np.ndarray,
        groups: Mapping[str, Group],
        blocks: Mapping[str, Block],
        slices: list[Slice],
        settings: list[Setting],
        norms: list[tuple[Any, int, np.ndarray]],
        arguments: Mapping[tuple[int, int], Callable[[Any, Stays], Any]],
        calls: list[TracedCall],
        unknown: list[Unknown],
        freeze: tuple[str, ...],
        resolution: int | None,
    ) -> None:
        self.model = model
        self.coupling = coupling
        self.classes = classes
        self.groups = dict(groups)
        self.blocks = dict(blocks)
        self.slices = slices
        self.settings = settings
        self.norms = norms
        self.arguments = arguments
        self.calls = calls
        self.unknown = unknown
        self.freeze = freeze
        self.resolution = resolution

    @property
    def prunable(self) -> dict[str, Group]:
        """The groups whose channels may be dropped."""
        return {name: group for name, group in self.groups.items() if group.prunable}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the architecture: its calls in order, with their widths and with the calls that feed them.

        Neither the weights nor the input side nor the coupling are part of it.
        """
        maker = {id(output): number for number, call in enumerate(self.calls) for output in call.outputs}
        text = repr(
            [
                (
                    call.operation.name,
                    type(call.operation).__name__,
                    call.outputs[0].shape[-1:],
                    [maker.get(id(x)) for x in call.inputs],
                )
                for call in self.calls
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def kernels(self) -> list[Slice]:
        """The kernels, in the order of the graph."""
        return [s for s in self.slices if s.role == "kernel"]

    def group(self, name: str) -> Group:
        """Returns a group by name, or says which name is nearest."""
        if name not in self.groups:
            raise PruneError(
                f"Expected the name of a group of {self.model.name!r}. Received: {name!r}.{nearest(name, self.groups)}"
            )
        return self.groups[name]

    def alive(self, keep: Mapping[str, Any]) -> np.ndarray:
        """Returns for every id whether its channel stays.

        Args:
            keep: `{group name: indices kept}`; groups that are not listed stay whole.

        Returns:
            A boolean array, one entry per id.
        """
        stays = np.ones(self.classes.max(initial=-1) + 1, bool)
        for name, indices in keep.items():
            classes = self.group(name).classes
            stays[classes] = False
            stays[classes[np.asarray(indices, int)]] = True
        return stays[self.classes]

    def made_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that make a group's channels: `(slice, axis, channel)` of each.

        `channel[position]` is the index inside the group of the channel at that position, −1 where the position
        belongs to another group.
        """
        return self._along(name, lambda kernel: kernel.makes)

    def read_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that read a group's channels, as `made_by` does."""
        return self._along(name, lambda kernel: kernel.reads)

    def scaled_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the BatchNorm scales of a group's channels, as `made_by` does."""
        return [entry for entry in self._by_group.get(name, ()) if entry[0].role == "scale"]

    def _along(self, name: str, axes: Callable[[Slice], tuple[int, ...]]) -> list[tuple[Slice, int, np.ndarray]]:
        entries = self._by_group.get(name, ())
        return [entry for entry in entries if entry[0].role == "kernel" and entry[1] in axes(entry[0])]

    @cached_property
    def _by_group(self) -> dict[str, list[tuple[Slice, int, np.ndarray]]]:
        """Every (slice, axis) that touches a group, with the channel index at each position of the axis."""
        number = self.classes.max(initial=-1) + 1
        owner, index = np.full(number, -1), np.full(number, -1)
        names = list(self.groups)
        for position, name in enumerate(names):
            classes = self.groups[name].classes
            owner[classes], index[classes] = position, np.arange(len(classes))
        found: dict[str, list[tuple[Slice, int, np.ndarray]]] = {}
        for entry in self.slices:
            for axis, ids in enumerate(entry.ids):
                if ids is None:
                    continue
                classes = self.classes[ids]
                for position in np.unique(owner[classes]):
                    here = np.where(owner[classes] == position, index[classes], -1)
                    found.setdefault(names[position], []).append((entry, axis, here))
        return found

    def report(self) -> str:
        """Returns a table of the groups: size, layers, share of the parameters, and why a group is pinned."""
        width = max([len("group"), *map(len, self.groups)])
        lines = [f"{'group':<{width}}  channels  state     layers"]
        for group in self.groups.values():
            state = "prunable" if group.prunable else "pinned"
            because = f"  ({group.reason})" if group.reason else ""
            lines.append(f"{group.name:<{width}}  {group.size:>8}  {state:<8}  {', '.join(group.layers)}{because}")
        lines += [f"unknown layer {u.name!r} of class {u.kind}: its channels stay" for u in self.unknown]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ChannelGraph of {self.model.name!r}: {len(self.groups)} groups, coupling={self.coupling!r}>"
