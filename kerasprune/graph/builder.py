"""The methods a layer rule calls: new channels, ties, pins, and the variables and configs that follow them.

A rule is called once for every call of its layer, with the `GraphBuilder` as `graph`. Slicing, config rewriting,
parameter counts, multiply–adds, masks and regularisation all read the one graph that results.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import keras
import numpy as np

from kerasprune.errors import PruneError
from kerasprune.graph.channels import (
    Block,
    Count,
    Ids,
    Padded,
    Product,
    Setting,
    Slice,
    Split,
    Take,
    TracedCall,
    Unknown,
)
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.groups import Couplings, settle
from kerasprune.graph.residual_trunks import reason_to_keep_whole
from kerasprune.graph.sizes import Size


@dataclass(frozen=True)
class Call:
    """The call that a rule describes: its node, and the shapes of its inputs and outputs."""

    node: Any
    inputs: tuple[tuple[int | None, ...], ...]
    outputs: tuple[tuple[int | None, ...], ...]
    tensors: tuple[Ids, ...] = ()
    repeats: int | None = 1
    """How often the layer runs, if a wrapper applies it at every step; `None` if that is free."""


class GraphBuilder:
    """Collects the declarations of the rules of one model.

    Args:
        coupling: As for `trace`.
    """

    def __init__(self, coupling: str = "tied") -> None:
        self.coupling = coupling
        self.call = Call(None, (), ())
        self._slices: dict[int, Slice] = {}
        self._settings: dict[tuple, Setting] = {}
        self._counted: dict[tuple, list[np.ndarray]] = {}
        self._entered: dict[int, Sequence[Ids]] = {}
        self._wrapped: dict[int, tuple[Any, tuple[str | int, ...]]] = {}
        self._norms: list[tuple[Any, int, np.ndarray]] = []
        self.arguments: dict[tuple[int, int], Callable[[Any, Take], Any]] = {}
        self._products: list[Product] = []
        self._emitting: dict[int, Collection[int]] = {}
        self.calls: list[TracedCall] = []
        self.unknown: list[Unknown] = []
        self._made: dict[tuple[int, str], np.ndarray] = {}
        self._depths: list[int] = []
        self._couplings = Couplings()

    # ---- channels -------------------------------------------------------------------------------------------

    def new(self, layer: Any, number: int, slot: str = "") -> np.ndarray:
        """Returns the ids of `number` channels that `layer` makes; the same ids at every call of a shared layer."""
        key = (id(layer), slot)
        if key not in self._made:
            self._made[key] = self._fresh(number, f"{layer.name}/{slot}" if slot else layer.name)
        return self._made[key]

    def fixed(self, number: int, reason: str, name: str = "") -> np.ndarray:
        """Returns ids of channels that are always kept."""
        ids = self._fresh(number, name or reason)
        self.pin(ids, reason)
        return ids

    def tie(self, *arrays: np.ndarray) -> np.ndarray:
        """Couples the arrays' channels position by position: kept or pruned together. Returns the first array."""
        first, *others = arrays
        for other in others:
            if other is not first:
                self._couplings.tie(first, other)
        return first

    def merge(self, *arrays: np.ndarray) -> np.ndarray:
        """Ties channels that are added together; under `coupling="free"` they also keep their width."""
        if reason := reason_to_keep_whole(self.coupling, len(arrays)):
            self.pin(arrays[0], reason)
        return self.tie(*arrays)

    def removed(self, number: int) -> np.ndarray:
        """Returns ids of channels that are removed with a dropped block."""
        self._couplings.dead.append(self._fresh(number, f"{self._owner_name()}/dropped"))
        return self._couplings.dead[-1]

    def pad(self, index: int, axis: int, trunk: np.ndarray, branch: np.ndarray) -> None:
        """Declares that an operand of this sum may be narrower than the trunk it is added to."""
        self._couplings.padded.append(Padded(self.call.node, index, axis, trunk, branch))

    def depth(self, ids: np.ndarray) -> tuple[int, int]:
        """Returns how many layers lie between the inputs and the one that makes these channels, then the first id."""
        return self._depths[bisect_right(self._couplings.starts, int(ids[0])) - 1], int(ids[0])

    def pin(self, ids: np.ndarray, reason: str) -> None:
        """Marks all these channels as always kept, for a reason that reports and errors give."""
        self._couplings.pin(ids, reason)

    def pin_all(self, tensor: Ids, reason: str, but: Collection[int] = ()) -> None:
        """Pins the channels on every axis of a tensor except the axes in `but`."""
        for axis, ids in tensor.axes.items():
            if axis not in but:
                self.pin(ids, reason)

    @contextmanager
    def inside(self, layer: Any, wrapper: Any, x: Ids, *path: str) -> Iterator[Ids]:
        """Yields the input of a layer that a wrapper applies at every step along axis 1; `call` is then that layer's.

        Args:
            layer: The layer inside.
            wrapper: The layer around it.
            x: The input of the wrapper.
            *path: Place of the layer's config in the wrapper's.
        """
        outer = self.call
        self.pin_all(x, f"{wrapper.name!r} runs along that axis", but=tuple(axis for axis in x.axes if axis != 1))
        self.wrapped(layer, wrapper, *path)
        step = Ids(_stepped(x.shape), {axis - 1: ids for axis, ids in x.axes.items() if axis > 1})
        steps = x.shape[1]
        repeats = None if None in (outer.repeats, steps) else outer.repeats * steps
        self.call = Call(outer.node, (step.shape,), tuple(map(_stepped, outer.outputs)), (step,), repeats)
        try:
            yield step
        finally:
            self.call = outer

    @contextmanager
    def pinned_on_error(self, reason: str) -> Iterator[None]:
        """Pins all channels made in this block if it raises a `PruneError`."""
        before = self._couplings.total
        try:
            yield
        except PruneError:
            self.pin(np.arange(before, self._couplings.total), reason)
            raise

    @contextmanager
    def first_axis(self, tensors: Sequence[Ids], made: list[Ids]) -> Iterator[None]:
        """Pins channels along the first axis of tensors, which the rule that runs in this block treats as the batch.

        Weights that are looked up have channels there. The block fills `made` with its outputs.
        """
        before = len(self._couplings.ties)
        yield
        carrying = [x.axes[0] for x in tensors if 0 in x.axes]
        if carrying:
            lines = [line for pair in self._couplings.ties[before:] for line in pair]
            followed = np.concatenate([np.zeros(0, int), *lines, *(line for y in made for line in y.axes.values())])
            for ids in carrying:
                if not np.isin(ids, followed).all():
                    self.pin(ids, f"{self._owner_name()!r} treats them as samples")

    def pin_made(self, layer: Any, reason: str) -> None:
        """Pins all channels that a layer makes, inner ones such as heads of attention included."""
        for (key, _), ids in self._made.items():
            if key == id(layer):
                self.pin(ids, reason)

    def on(self, tensor: Ids, axis: int) -> np.ndarray:
        """Returns the ids along an axis, or new ones, always kept, if the axis has none."""
        axis %= len(tensor.shape)
        if axis in tensor.axes:
            return tensor.axes[axis]
        size = tensor.shape[axis]
        if size is None:
            raise PruneError(
                f"Expected a known size along axis {axis} of the input of {self._owner_name()}. "
                f"Received: shape={tensor.shape}. Build the model with that size given."
            )
        return self.fixed(size, "the tensor carries no prunable channels", f"{self._owner_name()}/input")

    def split(self, flat: np.ndarray, outer: int, inner: int) -> tuple[np.ndarray, np.ndarray]:
        """Splits `flat` into two axes of sizes `outer` and `inner`; returns the ids of both.

        One of the two carries the channels: `grouping.settle` decides which, when all rules have run.
        """
        rows = self._fresh(outer, f"{self._owner_name()}/outer")
        columns = self._fresh(inner, f"{self._owner_name()}/inner")
        self._couplings.splits.append(Split(flat.reshape(outer, inner), rows, columns))
        return rows, columns

    def join(self, outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
        """Joins two axes into one, the inverse of `split`; returns its ids."""
        flat = self._fresh(outer.size * inner.size, f"{self._owner_name()}/joined")
        self._couplings.splits.append(Split(flat.reshape(outer.size, inner.size), outer, inner))
        return flat

    # ---- what follows the channels --------------------------------------------------------------------------

    def slices(
        self,
        layer: Any,
        variable: Any,
        *ids: np.ndarray | None,
        role: str = "state",
        reads: tuple[int, ...] = (),
        makes: tuple[int, ...] = (),
        silent: float = 0.0,
    ) -> None:
        """Declares that a variable (ignored if `None`) is sliced along its axes by these ids.

        Along the axes `reads` and `makes` a mask sets removed channels to `silent`.
        """
        if variable is None:
            return
        owner = self._wrapped.get(id(layer), (layer,))[0]
        new = Slice(owner, variable, ids, reads, makes, role, silent=silent)
        for before, now in zip(self._slices.setdefault(id(variable), new).ids, ids, strict=True):
            if before is not None and now is not None:
                self.tie(before, now)

    def along(self, variable: Any) -> tuple[np.ndarray | None, ...]:
        """Returns the ids along each axis of a variable; `None` for an axis that follows no channels."""
        known = self._slices.get(id(variable))
        return (None,) * len(variable.shape) if known is None else known.ids

    def kernel(
        self,
        layer: Any,
        variable: Any,
        *ids: np.ndarray | None,
        reads: tuple[int, ...] = (),
        makes: tuple[int, ...] = (),
        positions: int | Literal["output"] | None = "output",
    ) -> None:
        """Declares a kernel, which reads channels along some axes and makes channels along others.

        Args:
            layer: The layer that owns it.
            variable: The kernel; ignored if `None`.
            *ids: The ids along each axis, `None` for an axis without channels.
            reads: Axes of the input channels. Defaults to none (a depthwise kernel keeps channels separate).
            makes: Axes of the output channels.
            positions: How often the kernel is applied; 0 if it is looked up; `None` if an axis that it is applied along
                is free. Defaults to the number of output positions.
        """
        if positions == "output":
            positions = self.positions(self.call.outputs[0])
        if positions:
            positions = None if self.call.repeats is None else positions * self.call.repeats
        self.slices(layer, variable, *ids, role="kernel", reads=reads, makes=makes)
        if variable is not None:
            self._slices[id(variable)].positions.append(positions)

    def product(self, *sizes: np.ndarray | int | None) -> None:
        """Declares a product of tensors: one multiply–add for every choice of one position along each axis.

        Args:
            *sizes: All axes but the batch, those summed over included: channel ids, or a size.
        """
        self._products.append(Product(self.call.node.operation, (self.call.repeats, *sizes)))

    def sets(self, layer: Any, key: str, value: np.ndarray | Callable[[Count], Any]) -> None:
        """Declares that a config entry is the number of channels kept, or a function of such counts."""
        ids = value
        function = value if callable(value) else lambda count: count(ids)
        owner, path = self._wrapped.get(id(layer), (layer, ()))
        self._settings[id(owner), path, key] = Setting(owner, (*path, key), function)
        counted: list[np.ndarray] = []
        function(lambda each: counted.append(each) or each.size)
        self._alike(self._counted.setdefault((id(owner), path, key), counted), counted)

    def wrapped(self, inner: Any, wrapper: Any, *path: str | int) -> None:
        """Declares that a layer lies inside another, whose config holds its own under `path`."""
        owner, before = self._wrapped.get(id(wrapper), (wrapper, ()))
        self._wrapped[id(inner)] = owner, (*before, *path)

    def scaled(self, variable: Any, factor: Callable[[Count], float]) -> None:
        """Declares that a sliced variable's values are multiplied by a function of the counts."""
        if variable is not None:
            self._slices[id(variable)].factor = factor

    def norm(self, layer: Any, axis: int, ids: np.ndarray) -> None:
        """Declares that a layer takes its statistics over these channels."""
        self._alike([before for one, _, before in self._norms if one is layer], [ids])
        self._norms.append((layer, axis, ids))

    def enter(self, nested: Any, inputs: Sequence[Ids]) -> None:
        """Declares a call of a nested model: one that is called twice has the same inputs both times."""
        for before, now in zip(self._entered.setdefault(id(nested), inputs), inputs, strict=True):
            for axis in before.axes.keys() | now.axes.keys():
                if axis in before.axes and axis in now.axes:
                    self._alike([before.axes[axis]], [now.axes[axis]])
                else:
                    self.pin(
                        (before.axes | now.axes)[axis],
                        "the nested model is also called with channels that are always kept",
                    )

    def _alike(self, before: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> None:
        """Ties the channels of two calls of one layer, which has one config and one set of weights for both."""
        for one, other in zip(before, now, strict=False):
            if one.size == other.size:
                self.tie(one, other)

    def emits(self, axes: Collection[int]) -> None:
        """Declares output axes along which a removed channel still emits values that are not constant.

        For rules of layers that are silent otherwise.
        """
        self._emitting[id(self.call.node)] = axes

    def argument(self, index: int, change: Callable[[Any, Take], Any]) -> None:
        """Declares that a constant argument of this call becomes `change(value, take)`."""
        self.arguments[id(self.call.node), index] = change

    def positions(self, shape: tuple[int | None, ...], channel_axis: int = -1) -> int | None:
        """Returns the number of positions per sample, over all axes but batch and channels; `None` if free."""
        sizes = [s for a, s in enumerate(shape) if a and a != channel_axis % len(shape)]
        return None if None in sizes else prod(sizes)

    # ---- the finished graph ---------------------------------------------------------------------------------

    def finish(
        self,
        model: keras.Model,
        find_blocks: Callable[[ChannelGraph], Mapping[str, Block]],
        freeze: tuple[str, ...],
        size: Size | None,
    ) -> ChannelGraph:
        """Returns the finished graph."""
        classes, groups, padded = settle(self._couplings)
        return ChannelGraph(
            model,
            coupling=self.coupling,
            classes=classes,
            groups=groups,
            find_blocks=find_blocks,
            slices=list(self._slices.values()),
            settings=list(self._settings.values()),
            norms=self._norms,
            made=self._made,
            arguments=self.arguments,
            products=self._products,
            emitting=self._emitting,
            padded=padded,
            dead=np.concatenate([np.zeros(0, int), *self._couplings.dead]),
            calls=self.calls,
            unknown=self.unknown,
            freeze=freeze,
            size=size,
        )

    def _fresh(self, number: int, name: str) -> np.ndarray:
        feeding = [self.depth(ids)[0] for tensor in self.call.tensors for ids in tensor.axes.values()]
        self._depths.append(1 + max(feeding, default=0))
        self._couplings.starts.append(self._couplings.total)
        self._couplings.names.append(name)
        self._couplings.total += number
        return np.arange(self._couplings.total - number, self._couplings.total)

    def _owner_name(self) -> str:
        return getattr(getattr(self.call.node, "operation", None), "name", "the model")


def _stepped(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Returns the shape of one step along axis 1."""
    return (shape[0], *shape[2:])
