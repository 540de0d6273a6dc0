"""Granularities: what is removed as one. From a model to the units whose entries compete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from kerasprune.attaching.bn_scales import scale_fault
from kerasprune.attaching.candidates import Part, Unit
from kerasprune.budgets.base import kept_number
from kerasprune.errors import PruneError, choice_faults, nearest, raise_faults, warn, whole_number_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.registry import granularities

Keep = float | Mapping[str, float]


class Granularity:
    """Base: what is removed as one.

    `units` serves masks; penalties that grow ask for `numbers` and `candidates` apart.
    """

    whole_channels: ClassVar[bool] = False
    """Whether what is removed is channels, which `kp.rebuild` takes out, rather than weights (`.masks`)."""

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns the model's graph, and units all of whose entries may be removed.

        Args:
            model: The model.
            freeze: Names of layers, or wildcards, that stay whole.
        """
        raise PruneError(f"{type(self).__name__} has no units(). Write it.")

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{unit name: number of entries kept}`.

        Args:
            graph: The model's graph.
            keep: Fraction kept of every unit, or fractions by name, others whole.
        """
        raise PruneError(f"{type(self).__name__} has no numbers(). Write it.")

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns the units that are named.

        Args:
            graph: The model's graph.
            kept: `{unit name: number of entries kept}`.
        """
        raise PruneError(f"{type(self).__name__} has no candidates(). Write it.")

    def comparable(self, scores: Any) -> Any:
        """Returns the scores of a unit in a form that competes with those of other units."""
        return scores


class _OfKernels(Granularity):
    """Base of what lies within one kernel: single weights and rectangles of them; units are kernels, by path."""

    depthwise: bool = False

    def part(self, kernel: Slice) -> Part | None:
        """Returns a kernel and the entries in it; `None` where it has none."""
        raise PruneError(f"{type(self).__name__} has no part(). Write it.")

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per kernel that is trained."""
        graph = trace(model, freeze=freeze, unknown="freeze")
        sizes = {
            path: _size(part)
            for path, (kernel, part) in self._parts(graph).items()
            if kernel.variable.trainable and not _named(kernel, graph.freeze)
        }
        return graph, self.candidates(graph, sizes)

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{path of the kernel: number of entries kept}`, biases and BatchNorm left out.

        Args:
            graph: The model's graph; layers that it was asked to freeze stay whole.
            keep: Fraction of the entries of every kernel that is kept, or `{layer name: fraction}` for some layers.

        Raises:
            PruneError: A name is not that of a layer with a kernel, or the layer is to stay whole.
        """
        parts = self._parts(graph)
        owners = {kernel.owner.name for kernel in graph.kernels if not _named(kernel, graph.freeze)}
        inside = owners & {kernel.owner.name for kernel, _ in parts.values()}
        fractions = keep if isinstance(keep, Mapping) else dict.fromkeys(inside, keep)
        remedy = "it has fewer than two axes." if self.depthwise else "take depthwise=True in the granularity."
        faults = [f"Received: {name!r}.{nearest(name, owners)}" for name in fractions if name not in owners]
        faults += [
            f"Received: {name!r}, whose kernel stays whole: {remedy}" for name in fractions if name in owners - inside
        ]
        raise_faults("Expected the names of layers with a kernel that is not to stay whole.", faults)
        return {
            path: kept_number(_size(part), fractions.get(kernel.owner.name, 1.0))
            for path, (kernel, part) in parts.items()
        }

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns one unit for every kernel that is named.

        Raises:
            PruneError: Two kernels have the same path.
        """
        parts = self._parts(graph)
        return [Unit.of(path, _size(part), kept[path], (part,)) for path, (_, part) in parts.items() if path in kept]

    def _parts(self, graph: ChannelGraph) -> dict[str, tuple[Slice, Part]]:
        parts: dict[str, tuple[Slice, Part]] = {}
        for kernel in graph.kernels:
            path = kernel.variable.path
            part = self.part(kernel) if self.depthwise or not is_depthwise(kernel) else None
            if path in parts:
                raise PruneError(
                    f"Expected kernels with names of their own. Received: two with the path {path!r}. "
                    "Rename one of the layers."
                )
            if part is not None:
                parts[path] = (kernel, part)
        return parts


@dataclass(frozen=True)
class Weight(_OfKernels):
    """Single weights of every kernel; biases and BatchNorm are left out.

    Args:
        depthwise: Whether depthwise kernels lose weights too: the few weights of a channel, which cost little and do
            much. Defaults to `False`, as in tensorflow-model-optimization.
    """

    depthwise: bool = False

    def part(self, kernel: Slice) -> Part:
        """Returns the kernel; every weight is an entry."""
        return Part(kernel.variable, inputs=inputs_of(kernel))


@dataclass(frozen=True)
class WeightBlock(_OfKernels):
    """Rectangles of weights, inputs × outputs, so that a kernel can skip them in one go.

    Rows run along the axes that an output is a sum over, columns along those of the outputs, wherever a layer has
    them (a transposed convolution has them the other way round, attention in several axes); in tables of embeddings
    and depthwise kernels, which sum over no channels, over the last two axes. At the edges of a kernel rectangles are
    cut off. Kernels with fewer than two axes are left whole.

    Args:
        rows: Height of a rectangle, along the inputs. Defaults to 1.
        columns: Width of a rectangle, along the outputs. Defaults to 4.
        pooling: What a rectangle is worth: the `"mean"` of what its weights are, so that those at the edges compete
            as equals, or their `"max"`. Defaults to `"mean"`.
        depthwise: As for single weights. Defaults to `False`.

    Raises:
        PruneError: A side is no whole number of at least 1, or the pooling is another one.

    Example:
        >>> WeightBlock(rows=2, columns=2).entries((4, 4)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """

    rows: int = 1
    columns: int = 4
    pooling: str = "mean"
    depthwise: bool = False

    def __post_init__(self) -> None:
        faults = whole_number_faults(1, rows=self.rows, columns=self.columns)
        raise_faults("The blocks cannot be made:", faults + choice_faults(("mean", "max"), pooling=self.pooling))

    def entries(
        self, shape: Sequence[int], inputs: Sequence[int] = (-2,), outputs: Sequence[int] = (-1,)
    ) -> np.ndarray:
        """Returns for every weight the index of its rectangle, shape `shape`.

        Args:
            shape: Shape of the kernel.
            inputs: The axes of the inputs. Defaults to the last but one.
            outputs: The axes of the outputs. Defaults to the last.
        """
        inputs, outputs = ([axis % len(shape) for axis in axes] for axes in (inputs, outputs))
        outer = [axis for axis in range(len(shape)) if axis not in (*inputs, *outputs)]
        down, across = (
            -(-prod(shape[axis] for axis in axes) // side)
            for axes, side in ((inputs, self.rows), (outputs, self.columns))
        )
        inner = _flat(shape, inputs) // self.rows * across + _flat(shape, outputs) // self.columns
        return _flat(shape, outer) * (down * across) + inner

    def part(self, kernel: Slice) -> Part | None:
        """Returns the kernel with its rectangles, where it has at least two axes."""
        shape, inputs = tuple(kernel.variable.shape), inputs_of(kernel)
        if len(shape) < 2:
            return None
        made = [axis for axis in kernel.makes if axis not in inputs]
        others = made or [axis for axis in range(len(shape)) if axis not in inputs][-1:]
        entry = self.entries(shape, inputs, others) if inputs and others else self.entries(shape)
        return Part(kernel.variable, None, entry, self.pooling, inputs)


def inputs_of(kernel: Slice) -> tuple[int, ...]:
    """Returns the axes of a kernel that an output is a sum over: those it reads and does not make.

    Tables of embeddings and depthwise kernels have none.
    """
    if _depthwise_half(kernel):
        return ()
    return tuple(axis for axis in kernel.reads if axis not in kernel.makes)


def is_depthwise(kernel: Slice) -> bool:
    """Returns whether a kernel is that of a depthwise convolution, or of the depthwise half of a separable one."""
    owners = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    return isinstance(kernel.owner, owners) or _depthwise_half(kernel)


def _depthwise_half(kernel: Slice) -> bool:
    """Returns whether a separable layer calls it its depthwise kernel: it reads channels there, each by itself."""
    return kernel.variable.name == "depthwise_kernel"


def _flat(shape: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    """Returns for every position its index along some axes taken as one; one wide along the others."""
    index, stride = np.zeros((1,) * len(shape), int), 1
    for axis in reversed(axes):
        line = np.arange(shape[axis]) * stride
        index, stride = index + line.reshape([-1 if a == axis else 1 for a in range(len(shape))]), stride * shape[axis]
    return index


@dataclass(frozen=True)
class _OfGroups(Granularity):
    """Base of whole channels: units are groups, by name.

    Args:
        coupling: The residual width mode of masks, `"tied"` or `"free"`, as for `kp.trace`. Defaults to `"tied"`. In
            `"padded"` the first channels of a trunk are kept, so that nothing is left to choose by their scores.

    Raises:
        PruneError: `coupling` is another one.
    """

    whole_channels: ClassVar[bool] = True

    coupling: str = "tied"

    def __post_init__(self) -> None:
        if self.coupling not in ("tied", "free"):
            raise PruneError(
                f"Expected coupling 'tied' or 'free'. Received: coupling={self.coupling!r}, which masks of channels "
                "cannot follow. For 'padded' take kp.plan or kp.callbacks.Polarization."
            )

    def kernels(self, graph: ChannelGraph, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns `(kernel, axis, channel of each position)` for every kernel that a group's channels lie in."""
        raise PruneError(f"{type(self).__name__} has no kernels(). Write it.")

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per prunable group all of whose kernels are trained."""
        graph = trace(model, coupling=self.coupling, freeze=freeze)
        units = self.candidates(graph, {name: group.size for name, group in graph.prunable.items()})
        return graph, [unit for unit in units if all(part.variable.trainable for part in unit.parts)]

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{group name: number of channels kept}`.

        Args:
            graph: The model's graph.
            keep: Fraction of the channels of every prunable group that is kept, or `{group name: fraction}` for some.

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

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns one unit for every group that is named and whose channels lie in some kernel."""
        units = []
        for name, number in kept.items():
            parts = tuple(Part(kernel.variable, axis, entry) for kernel, axis, entry in self.kernels(graph, name))
            if parts:
                units.append(Unit.of(name, graph.groups[name].size, number, parts))
        return units

    def comparable(self, scores: Any) -> Any:
        """Returns the scores divided by their mean, the highest made infinite: no group loses all its channels."""
        relative = scores / ops.maximum(ops.mean(scores), 1e-30)
        return ops.where(relative >= ops.max(relative), np.inf, relative)


@dataclass(frozen=True)
class Filter(_OfGroups):
    """Whole channels, in every kernel that makes them: `kp.rebuild` can take them out afterwards."""

    def kernels(self, graph: ChannelGraph, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that make the channels."""
        return graph.made_by(name)


@dataclass(frozen=True)
class Channel(_OfGroups):
    """Whole channels, in every kernel that reads them: `kp.rebuild` can take them out afterwards."""

    def kernels(self, graph: ChannelGraph, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that read the channels."""
        return graph.read_by(name)


@dataclass(frozen=True)
class Scale(_OfGroups):
    """Whole channels, in the scales γ and shifts β of the BatchNorms behind them, which nothing undoes.

    Groups that no BatchNorm scales have none: with one fraction for all groups they stay whole, with a warning.
    """

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{group name: number of channels kept}`; for one fraction, of the groups that are scaled."""
        if isinstance(keep, Mapping):
            return super().numbers(graph, keep)
        faults = {name: scale_fault(graph, name) for name in graph.prunable}
        left = [f"group {name!r} stays whole: {fault}" for name, fault in faults.items() if fault]
        if left:
            warn("; ".join(left[:5]) + ("; …" if len(left) > 5 else ""))
        return super().numbers(graph, {name: keep for name, fault in faults.items() if not fault})

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns one unit for every group that is named and scaled.

        Raises:
            PruneError: A group that is to lose channels is not scaled.
        """
        faults = {name: scale_fault(graph, name) for name in kept}
        raise_faults(
            'Expected BatchNorm scales to push, granularity="scale". Take granularity="channel".',
            [
                f"Received: group {name!r}: {fault}."
                for name, fault in faults.items()
                if fault and kept[name] < graph.groups[name].size
            ],
        )
        return super().candidates(graph, {name: number for name, number in kept.items() if not faults[name]})

    def kernels(self, graph: ChannelGraph, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the scales of the channels, each with the shift beside it."""
        found = []
        for scale, axis, channel in graph.scaled_by(name):
            shifts = (each for each in graph.slices if each.owner is scale.owner and each.role == "bias")
            found += [(each, axis, channel) for each in (scale, *shifts)]
        return found


def _named(kernel: Slice, patterns: Sequence[str]) -> bool:
    """Whether the layer of a kernel is among names or wildcards."""
    return any(fnmatchcase(kernel.owner.name, pattern) for pattern in patterns)


def _size(part: Part) -> int:
    """Returns the number of entries of a part without an axis."""
    return int(np.prod(part.variable.shape)) if part.entry is None else int(part.entry.max()) + 1


def get(identifier: Any) -> Granularity:
    """Returns a granularity for a name, a `{"name": …}` dict, a class or an instance."""
    return granularities.get(identifier)
