"""The channel graph: which channels of a model are coupled, and what follows them.

The one idea of the library: the channel axis of every tensor is an integer array of *channel ids*. A layer rule
does to the ids what the layer does to channels. Ids that end up tied are kept or pruned together; a set of tied ids
is a *channel class*, and the classes that run through the same layers form a `Group`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from itertools import product
from math import gcd, lcm, prod
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers
from kerasprune.errors import PruneError, nearest
from kerasprune.graph.adapters import check_merged
from kerasprune.graph.channels import Block, Group, Padded, Product, Setting, Slice, Take, TracedCall, Unknown
from kerasprune.graph.groups import distinct, number_repeated
from kerasprune.graph.sharded_axes import ShardedAxis, sharded_axes
from kerasprune.graph.sizes import Size
from kerasprune.graph.walk import changed_weights, named_operations, pause_collection
from kerasprune.tables import Part, Shown, Table


def values(variable: keras.Variable) -> np.ndarray:
    """Returns the values of a variable, to read only: not copied if the backend shares its memory.

    Copy them before changing them or assigning them to another variable.

    Example:
        >>> import keras
        >>> values(keras.Variable([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and len(variable.shape):  # single numbers of bfloat16 are no arrays there
        return np.asarray(variable.value.value())  # the tensor that the resource holds
    return np.asarray(variable.value) if backend == "jax" else keras.ops.convert_to_numpy(variable)


def weight_paths(model: keras.Model) -> dict[int, str]:
    """Returns `{id(weight): its path}`; where paths are equal, `path#1`, `path#2`, … in the order of `model.weights`.

    Two models loaded from files and joined to one have layers, and so paths, of the same names.

    Example:
        >>> import keras
        >>> inputs, layers = keras.Input((2,)), [keras.layers.Dense(1, use_bias=False, name="d") for _ in range(3)]
        >>> branches = [keras.Sequential([keras.Input((2,)), layer], name="a") for layer in layers[:2]]
        >>> ensemble = keras.Sequential([keras.Input((2,)), layers[2]], name="b")
        >>> branches[1].name = "c"  # Keras asks for names that differ when it joins them; paths stay
        >>> outputs = [branch(inputs) for branch in [*branches, ensemble]]
        >>> [*weight_paths(keras.Model(inputs, keras.layers.Add()(outputs))).values()]
        ['a/d/kernel#1', 'a/d/kernel#2', 'b/d/kernel']
    """
    weights = model.weights
    return dict(zip(map(id, weights), number_repeated(variable.path for variable in weights), strict=True))


def check_finite_weights(model: keras.Model) -> None:
    """Raises a `PruneError` if a weight of a model is not finite."""
    for variable in model.weights:
        if not np.isfinite(values(variable)).all():
            raise PruneError(
                f"Expected finite weights. Received: NaN or infinity in {variable.path!r}. Its training has diverged: "
                "load an earlier checkpoint, or train again at a smaller learning rate."
            )


@dataclass(eq=False, repr=False)
class ChannelGraph(Shown):
    """The channel couplings of one model, as found by `kerasprune.trace`.

    Args:
        model: The traced model.
        coupling: The `coupling` it was traced with.
        classes: The channel class of every id.
        groups: The groups by name.
        find_blocks: Returns the droppable blocks of the graph by name.
        slices: The variables to slice along the channels.
        settings: The config entries that depend on the number of channels.
        norms: Layers that compute statistics over channels, with the ids along those channels.
        made: `{(id(layer), slot): ids}` of the channels that layers make.
        arguments: `{(node id, argument index): change}`; `change(value, take)` returns the new value of a constant
            argument of a call.
        products: Products of two activations, such as queries and keys.
        emitting: `{id(node): axes}`: output axes of a call along which removed channels still emit values, although
            the layer emits none along its other axes.
        padded: Sums whose branches may be narrower than the trunk.
        dead: Ids of channels that are removed with a dropped block.
        calls: Every call in the order of the walk, with the ids of its inputs and outputs.
        unknown: Layers that were frozen because they have no rule.
        freeze: Names of layers, or wildcards, whose channels are all kept.
        size: Size of the inputs for which positions were counted; `None` for the model's own.

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
    size: Size | None

    @property
    def prunable(self) -> dict[str, Group]:
        """The groups whose channels may be pruned."""
        return {name: group for name, group in self.groups.items() if group.prunable}

    def check_prunable(self) -> None:
        """Raises a `PruneError` if all channels are pinned."""
        if not self.prunable:
            self.check_merged()
            remedies = ", or ".join(["See graph.report() or kerasprune inspect for the reasons", *self.looser])
            raise PruneError(
                f"Expected a model with channels that can be pruned. Received: {self.model.name!r}, all of whose "
                f"channels are pinned. {remedies}."
            )

    def check_merged(self) -> None:
        """Raises a `PruneError` if layers that `freeze` does not name have adapters; see `adapters.check_merged`."""
        free = [layer for layer in inner_layers(self.model) if id(layer) not in self.named]
        check_merged(free, ", or keep these layers whole, freeze=[layer.name]")

    @property
    def looser(self) -> list[str]:
        """Changes that leave more channels to be pruned, as remedies for errors."""
        free = ["freeze less"] if self.freeze else []
        return free if self.coupling == "tied" else [*free, "use coupling='tied'"]

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """The droppable blocks by name."""
        return dict(self.find_blocks(self))

    @cached_property
    def there(self) -> np.ndarray:
        """One boolean per id: whether its channel exists, rather than being removed with a dropped block."""
        return ~self.classes_with(self.dead)[self.classes]

    def classes_with(self, ids: np.ndarray) -> np.ndarray:
        """Returns one boolean per class: whether any of these ids, an array or a mask of all ids, belongs to it."""
        found = np.zeros(self.classes.max(initial=-1) + 1, bool)
        found[self.classes[ids]] = True
        return found

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the architecture: its calls in order, their widths and inputs.

        Weights, input side and coupling are not part of it.
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
    def paths(self) -> dict[int, str]:
        """`{id(weight): its path}` of the model; see `weight_paths`."""
        return weight_paths(self.model)

    @cached_property
    def kernels(self) -> list[Slice]:
        """The kernels, in the order of the graph."""
        return [s for s in self.slices if s.role == "kernel"]

    @cached_property
    def weight_kernels(self) -> list[Slice]:
        """The kernels whose single weights may be masked: also those in layers without a rule, which couple nothing.

        One number for each channel, such as a scale of shape (1, 1, C), is not a kernel.
        """
        owners = [(layer, weights) for layer, weights, _ in self.weights if not changed_weights(layer)]
        sliced = {id(entry.variable) for entry in self.slices}
        own = [
            Slice(layer, v, (None,) * len(v.shape), (len(v.shape) - 2,), (len(v.shape) - 1,), "kernel")
            for layer, weights in owners
            for v in weights
            if v.trainable and prod(v.shape[:-1]) > 1 and id(v) not in sliced and keras.backend.is_float_dtype(v.dtype)
        ]
        return [*self.kernels, *{id(entry.variable): entry for entry in own}.values()]

    @property
    def free_kernels(self) -> list[Slice]:
        """The kernels of the layers that are not frozen."""
        return [k for k in self.kernels if id(k.owner) not in self.named]

    @cached_property
    def named(self) -> set[int]:
        """The ids of the layers and operations that `freeze` names."""
        return named_operations(self.model, self.freeze)

    @cached_property
    def weights(self) -> list[tuple[Any, Sequence[Any], list[Slice | None]]]:
        """Every operation with its weights, and the `Slice` of each, or `None`."""
        slices = {id(entry.variable): entry for entry in self.slices}
        operations = {id(call.operation): call.operation for call in self.calls}.values()
        weights = [(operation, getattr(operation, "weights", ())) for operation in operations]
        return [(operation, own, [slices.get(id(w)) for w in own]) for operation, own in weights]

    def group(self, name: str) -> Group:
        """Returns a group by name; an unknown name raises an error with the nearest."""
        if name not in self.groups:
            raise PruneError(
                f"Expected the name of a group of {self.model.name!r}. Received: {name!r}.{nearest(name, self.groups)}"
            )
        return self.groups[name]

    def alive(self, keep: Mapping[str, Any]) -> np.ndarray:
        """Returns one boolean per id: whether its channel is kept.

        Args:
            keep: `{group name: indices kept}`; groups that are not listed are kept whole.

        Returns:
            A boolean array, one entry per id.
        """
        kept = self.classes_with(self.there)
        for name, indices in keep.items():
            classes = self.group(name).classes
            kept[classes] = False
            kept[classes[np.asarray(indices, int)]] = True
        return kept[self.classes]

    @cached_property
    def slices_of_groups(self) -> list[tuple[str, np.ndarray]]:
        """Tensors that hold parts of groups, but no whole group (they were sliced): `(layer name, their classes)`.

        A choice that keeps a channel of every group may still keep none of these.
        """
        owner, size = self.places[0], [len(group.classes) for group in self.groups.values()]
        pinned = [not group.prunable for group in self.groups.values()]
        lines: dict[int, tuple[str, np.ndarray]] = {}  # many layers return the ids of their input
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

    @cached_property
    def sharded_axes(self) -> list[ShardedAxis]:
        """The channel axes of variables that several devices share."""
        return sharded_axes(self.slices)

    @cached_property
    def multiples(self) -> dict[str, int]:
        """What the number of removed channels is a multiple of, for the prunable groups of which devices hold parts."""
        names, owner, found = list(self.groups), self.places[0], defaultdict(lambda: 1)
        for axis in self.sharded_axes:
            classes, times = np.unique(self.classes[axis.ids], return_counts=True)
            for number in distinct(owner[classes]).tolist():
                name = names[number]
                if number >= 0 and self.groups[name].prunable:
                    alike = gcd(axis.devices, *times[owner[classes] == number].tolist())
                    found[name] = lcm(found[name], axis.devices // alike)
        return {name: multiple for name, multiple in found.items() if multiple > 1}

    def made_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that make a group's channels: `(slice, axis, channel)` of each.

        `channel[position]` is the index inside the group of the channel at that position, −1 for a channel of another
        group.
        """
        return self._along(name, "makes")

    def read_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that read a group's channels, as `made_by` does."""
        return self._along(name, "reads")

    def scaled_by(self, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the BatchNorm scales of a group's channels, as `made_by` does."""
        return self._along(name, "scale")

    def _along(self, name: str, use: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the axes that use a group, with the channel of the group at each position."""
        owner, place = self.places
        number = owner[self.groups[name].classes[:1]]
        along = [(entry, axis, self.classes[entry.ids[axis]]) for entry, axis in self._using.get((name, use), ())]
        return [(entry, axis, np.where(owner[classes] == number, place[classes], -1)) for entry, axis, classes in along]

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The number of the group of every class, and its index in it; −1 if it is removed with a block."""
        owner, place = np.full((2, self.classes.max(initial=-1) + 1), -1)
        for number, group in enumerate(self.groups.values()):
            owner[group.classes], place[group.classes] = number, np.arange(group.size)
        return owner, place

    @cached_property
    @pause_collection()
    def _using(self) -> Mapping[tuple[str, str], list[tuple[Slice, int]]]:
        """`{(group, "makes", "reads" or "scale"): [(slice, axis)]}`."""
        names, owner = list(self.groups), self.places[0][self.classes]
        found = defaultdict(list)
        for entry in self.slices:
            of_kernel = {"makes": entry.makes, "reads": entry.reads}
            for axis, ids in enumerate(entry.ids):
                uses = (
                    [use for use, axes in of_kernel.items() if axis in axes] if entry.role == "kernel" else [entry.role]
                )
                for group in () if ids is None else distinct(owner[ids]).tolist():
                    for use in uses if group >= 0 else ():
                        found[names[group], use].append((entry, axis))
        return found

    @property
    def edges(self) -> list[tuple[str, str, str]]:
        """The kernels between groups: `(group read, group made, layer name)`, each once."""
        groups = defaultdict(list)
        for name in self.groups:
            for use in ("reads", "makes"):
                for kernel, _ in self._using.get((name, use), ()):
                    groups[use, id(kernel)].append(name)
        found: dict[tuple[str, str, str], None] = {}
        for kernel in self.kernels:
            found |= dict.fromkeys(
                product(groups["reads", id(kernel)], groups["makes", id(kernel)], [kernel.owner.name])
            )
        return list(found)

    def shares(self) -> dict[str, float]:
        """Returns for each group the share of all kernel weights that make or read its channels."""
        sizes = {id(kernel.variable): prod(kernel.variable.shape) for kernel in self.kernels}
        total = sum(sizes.values()) or 1
        touching: dict[str, set[int]] = {name: set() for name in self.groups}
        for (name, _), axes in self._using.items():
            touching[name] |= {id(entry.variable) for entry, _ in axes if entry.role == "kernel"}
        return {name: sum(sizes[key] for key in keys) / total for name, keys in touching.items()}

    def report(self) -> str:
        """Returns a table of the groups: size, share of the kernel weights, layers, and the reason if pinned."""
        return "\n".join(map(str, self._shown()))

    def _shown(self) -> list[Part]:
        shares, rows = self.shares(), []
        for group in self.groups.values():
            single = group.prunable and group.size == 1
            state = "prunable" if group.prunable and not single else "pinned"
            reason = "one channel, or several that live and die together" if single else group.reason
            layers = f"{', '.join(group.layers)}{f'  ({reason})' if reason else ''}"
            rows.append((group.name, str(group.size), f"{shares[group.name]:.1%}", state, layers))
        header, bars = ("group", "channels", "weights", "state", "layers"), {2: [*shares.values()]}
        unknown = (f"unknown layer {u.name!r} of class {u.kind}: its channels are kept" for u in self.unknown)
        return [Table(header, rows, left=(0, 3, 4), bars=bars), *unknown]

    def __repr__(self) -> str:
        return f"<ChannelGraph of {self.model.name!r}: {len(self.groups)} groups, coupling={self.coupling!r}>"
