"""The channel graph: which channels of a model are coupled, and everything that follows them.

The one idea of the library: the channel axis of every tensor is an integer array of *channel ids*. A layer rule
does to the ids what the layer does to channels. Ids that end up tied live and die together; a set of ids tied
together is a *channel class*, and the classes that run through the same layers form a `Group`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError, nearest
from kerasprune.graph.channels import Block, Group, Padded, Product, Setting, Slice, Take, TracedCall, Unknown
from kerasprune.graph.grouping import distinct
from kerasprune.graph.walk import uncollected


def values(variable: keras.Variable) -> np.ndarray:
    """Returns the values of a variable, to read: where the backend lends its memory, nothing is copied.

    What the variable is assigned later does not show; what is to be changed or kept in another variable is copied.

    Example:
        >>> import keras
        >>> values(keras.Variable([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and len(variable.shape):  # single numbers of bfloat16 are no arrays there
        return np.asarray(variable.value.value())  # the tensor that the resource holds
    return np.asarray(variable.value) if backend == "jax" else keras.ops.convert_to_numpy(variable)


@dataclass(eq=False, repr=False)
class ChannelGraph:
    """The couplings of one model, as found by `kerasprune.trace`.

    Args:
        model: The traced model.
        coupling: The residual width mode it was traced with.
        classes: Channel class of every id.
        groups: The groups by name.
        find_blocks: Returns the droppable blocks of the graph by name.
        slices: How each variable follows the channels.
        settings: How each config follows the channels.
        norms: Layers that take statistics over channels, with the ids along those channels.
        made: `{(id(layer), slot): ids}` of the channels that layers make.
        arguments: `{(node id, argument index): change}`; `change(value, take)` returns what a constant argument of a
            call becomes.
        products: Products of tensors, of which none is a weight.
        emitting: `{id(node): axes}`: axes of the output of a call along which removed channels emit something, though
            its layer is silent along others.
        padded: Sums whose branches may end narrower than their trunk.
        dead: Ids of channels that are removed with a dropped block.
        calls: Every call in the order of the walk, with the ids that went in and came out.
        unknown: Layers that were frozen for want of a rule.
        freeze: Names of layers, or wildcards, whose channels are all kept.
        resolution: Input side the positions were counted at; `None` = the model's own.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> graph = kp.trace(model)
        >>> list(graph.prunable), graph.prunable["hidden"].size
        (['hidden'], 8)
    """

    model: keras.Model
    _: KW_ONLY
    coupling: str
    classes: np.ndarray
    groups: dict[str, Group]
    find_blocks: Callable[[ChannelGraph], Mapping[str, Block]]
    slices: list[Slice]
    settings: list[Setting]
    norms: list[tuple[Any, int, np.ndarray]]
    made: Mapping[tuple[int, str], np.ndarray]
    arguments: Mapping[tuple[int, int], Callable[[Any, Take], Any]]
    products: list[Product]
    emitting: Mapping[int, Collection[int]]
    padded: list[Padded]
    dead: np.ndarray
    calls: list[TracedCall]
    unknown: list[Unknown]
    freeze: tuple[str, ...]
    resolution: int | None

    @property
    def prunable(self) -> dict[str, Group]:
        """The groups whose channels may be dropped."""
        return {name: group for name, group in self.groups.items() if group.prunable}

    def check_prunable(self) -> None:
        """Checks that there is something to drop.

        Raises:
            PruneError: All channels are pinned.
        """
        if not self.prunable:
            raise PruneError(
                f"Expected a model with channels that can be dropped. Received: {self.model.name!r}, all of whose "
                "channels are pinned. Call graph.report() for the reasons, and freeze less."
            )

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """The droppable blocks by name."""
        return dict(self.find_blocks(self))

    @cached_property
    def there(self) -> np.ndarray:
        """For every id whether its channel is there at all, and is not removed with a dropped block."""
        removed = np.zeros(self.classes.max(initial=-1) + 1, bool)
        removed[self.classes[self.dead]] = True
        return ~removed[self.classes]

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
                    call.node.outputs[0].shape[-1:],
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

    @cached_property
    def weights(self) -> list[tuple[Any, Sequence[Any], list[Slice | None]]]:
        """Every operation with its weights, and how each of them follows the channels."""
        slices = {id(entry.variable): entry for entry in self.slices}
        operations = {id(call.operation): call.operation for call in self.calls}.values()
        weights = [(operation, getattr(operation, "weights", ())) for operation in operations]
        return [(operation, own, [slices.get(id(w)) for w in own]) for operation, own in weights]

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
        return stays[self.classes] & self.there

    @cached_property
    def slices_of_groups(self) -> list[tuple[str, np.ndarray]]:
        """Tensors that hold parts of groups and no whole one (they were sliced): `(layer name, their classes)`.

        A choice that leaves something of every group may still leave nothing of these.
        """
        owner, size = self.places[0], [len(group.classes) for group in self.groups.values()]
        pinned = [not group.prunable for group in self.groups.values()]
        lines: dict[int, tuple[str, np.ndarray]] = {}  # many layers hand on the ids that they get
        for call in self.calls:
            for ids in (ids for output in call.outputs for ids in output.axes.values()):
                lines.setdefault(id(ids), (call.operation.name, ids))
        found: dict[bytes, tuple[str, np.ndarray]] = {}
        for name, ids in lines.values():
            classes = distinct(self.classes[ids])
            classes = classes[owner[classes] >= 0]  # the others are removed with a dropped block
            groups, counts = np.unique(owner[classes], return_counts=True)
            if classes.size and not any(pinned[g] or n == size[g] for g, n in zip(groups, counts, strict=True)):
                found.setdefault(classes.tobytes(), (name, classes))
        return list(found.values())

    def made_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that make a group's channels: `(slice, axis, channel)` of each.

        `channel[position]` is the index inside the group of the channel at that position, −1 where the position
        belongs to another group.
        """
        return self._with_channels(name, self._making(name))

    def read_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that read a group's channels, as `made_by` does."""
        return self._with_channels(name, self._reading(name))

    def scaled_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the BatchNorm scales of a group's channels, as `made_by` does."""
        return self._with_channels(name, self._entries(name, "scale"))

    def _making(self, name: str) -> list[tuple[Slice, int]]:
        return [(entry, axis) for entry, axis in self._entries(name, "kernel") if axis in entry.makes]

    def _reading(self, name: str) -> list[tuple[Slice, int]]:
        return [(entry, axis) for entry, axis in self._entries(name, "kernel") if axis in entry.reads]

    def _entries(self, name: str, role: str) -> list[tuple[Slice, int]]:
        return [(entry, axis) for entry, axis in self._by_group.get(name, ()) if entry.role == role]

    def _with_channels(self, name: str, places: list[tuple[Slice, int]]) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the places with the channel of the group at each position of the axis."""
        owner, place = self.places
        along = [self.classes[entry.ids[axis]] for entry, axis in places]
        number = owner[self.groups[name].classes[:1]] if places else None
        here = [np.where(owner[classes] == number, place[classes], -1) for classes in along]
        return [(entry, axis, channel) for (entry, axis), channel in zip(places, here, strict=True)]

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """For every class the number of its group, and its index inside; −1 where it is removed with a block."""
        owner, place = np.full((2, self.classes.max(initial=-1) + 1), -1)
        for number, group in enumerate(self.groups.values()):
            owner[group.classes], place[group.classes] = number, np.arange(group.size)
        return owner, place

    @cached_property
    @uncollected()
    def _by_group(self) -> dict[str, list[tuple[Slice, int]]]:
        """Every (slice, axis) that touches a group."""
        names, owner = list(self.groups), self.places[0][self.classes]
        found: dict[str, list[tuple[Slice, int]]] = {}
        for entry in self.slices:
            for axis, ids in enumerate(entry.ids):
                for position in () if ids is None else distinct(owner[ids]).tolist():
                    if position >= 0:
                        found.setdefault(names[position], []).append((entry, axis))
        return found

    @property
    def edges(self) -> list[tuple[str, str, str]]:
        """Which group feeds which, through which layer: `(read group, made group, layer name)`, each once."""
        reads, makes = defaultdict(list), defaultdict(list)
        for name in self.groups:
            for kernel, _ in self._reading(name):
                reads[id(kernel)].append(name)
            for kernel, _ in self._making(name):
                makes[id(kernel)].append(name)
        found: dict[tuple[str, str, str], None] = {}
        for kernel in self.kernels:
            found |= dict.fromkeys(product(reads[id(kernel)], makes[id(kernel)], [kernel.owner.name]))
        return list(found)

    def shares(self) -> dict[str, float]:
        """Returns for each group the share of all kernel weights that make or read its channels."""
        sizes = {id(kernel): prod(kernel.variable.shape) for kernel in self.kernels}
        total = sum(sizes.values()) or 1
        touching = {
            name: {id(kernel) for kernel, _ in self._making(name) + self._reading(name)} for name in self.groups
        }
        return {name: sum(sizes[key] for key in keys) / total for name, keys in touching.items()}

    def report(self) -> str:
        """Returns a table of the groups: size, share of the kernel weights, layers, and why a group is pinned."""
        width = max([len("group"), *map(len, self.groups)])
        lines = [f"{'group':<{width}}  channels  weights  state     layers"]
        shares = self.shares()
        for group in self.groups.values():
            state = "prunable" if group.prunable else "pinned"
            because = f"  ({group.reason})" if group.reason else ""
            lines.append(
                f"{group.name:<{width}}  {group.size:>8}  {shares[group.name]:>7.1%}  {state:<8}  "
                f"{', '.join(group.layers)}{because}"
            )
        lines += [f"unknown layer {u.name!r} of class {u.kind}: its channels stay" for u in self.unknown]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ChannelGraph of {self.model.name!r}: {len(self.groups)} groups, coupling={self.coupling!r}>"
