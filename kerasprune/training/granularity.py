"""Granularities (weights, blocks, filters, channels, scales): the units of a model whose entries compete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from kerasprune.checks import choice_faults, whole_number_faults
from kerasprune.errors import PruneError, nearest, raise_faults, warn
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import divisible_number, kept_number
from kerasprune.graph.trace import trace, warn_of_unknown
from kerasprune.training.bn_scales import scale_fault
from kerasprune.training.candidates import Part, Unit

Keep = float | Mapping[str, float]


class Granularity:
    """Base class of granularities: the entries that are removed together.

    Masks use `units`; growing penalties use `numbers` and `candidates`.
    """

    whole_channels: ClassVar[bool] = False
    """Whether the entries are channels, which `kp.rebuild` removes, rather than weights (`.masks`)."""

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns the model's graph, and units all of whose entries may be removed.

        Args:
            model: The model.
            freeze: Names of layers, or wildcards, that are kept whole.
        """
        raise PruneError(f"{type(self).__name__} has no units(). Override it.")

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{unit name: number of entries kept}`.

        Args:
            graph: The model's graph.
            keep: Fraction kept of every unit, or fractions by name, others whole.
        """
        raise PruneError(f"{type(self).__name__} has no numbers(). Override it.")

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns the named units.

        Args:
            graph: The model's graph.
            kept: `{unit name: number of entries kept}`.
        """
        raise PruneError(f"{type(self).__name__} has no candidates(). Override it.")

    def comparable(self, scores: Any) -> Any:
        """Returns the scores of a unit in a form that competes with those of other units."""
        return scores


class _OfKernels(Granularity):
    """Base class for entries within a kernel, single weights or rectangles: one unit per kernel, with its path."""

    depthwise: bool = False

    def part(self, kernel: Slice) -> Part | None:
        """Returns a kernel and the entries in it; `None` if it has none."""
        raise PruneError(f"{type(self).__name__} has no part(). Override it.")

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per trained kernel."""
        graph = trace(model, freeze=freeze, unknown="freeze")
        graph.check_merged()
        sizes = {
            path: _size(part)
            for path, (kernel, part) in self._parts(graph).items()
            if kernel.variable.trainable and id(kernel.owner) not in graph.named
        }
        return graph, self.candidates(graph, sizes)

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{path of the kernel: number of entries kept}`, without biases and BatchNorm.

        Args:
            graph: The model's graph, whose frozen layers are kept whole.
            keep: Fraction kept of the entries of every kernel, or `{layer name: fraction}` for some layers.

        Raises:
            PruneError: A name is not that of a layer with a kernel, or the layer is kept whole.
        """
        parts = self._parts(graph)
        owners = {kernel.owner.name for kernel in graph.weight_kernels if id(kernel.owner) not in graph.named}
        inside = owners & {kernel.owner.name for kernel, _ in parts.values()}
        fractions = keep if isinstance(keep, Mapping) else dict.fromkeys(inside, keep)
        remedy = "it has fewer than two axes." if self.depthwise else "take depthwise=True in the granularity."
        faults = [f"Received: {name!r}.{nearest(name, owners)}" for name in fractions if name not in owners]
        faults += [
            f"Received: {name!r}, whose kernel is kept whole: {remedy}" for name in fractions if name in owners - inside
        ]
        raise_faults("Expected the names of layers with a kernel that is not kept whole.", faults)
        return {
            path: kept_number(_size(part), fractions.get(kernel.owner.name, 1.0))
            for path, (kernel, part) in parts.items()
        }

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns one unit for every named kernel."""
        parts = self._parts(graph)
        return [Unit.of(path, _size(part), kept[path], (part,)) for path, (_, part) in parts.items() if path in kept]

    def _parts(self, graph: ChannelGraph) -> dict[str, tuple[Slice, Part]]:
        parts: dict[str, tuple[Slice, Part]] = {}
        for kernel in graph.weight_kernels:
            part = self.part(kernel) if self.depthwise or not is_depthwise(kernel) else None
            if part is not None:
                parts[graph.paths[id(kernel.variable)]] = (kernel, part)
        return parts


@dataclass(frozen=True)
class Weight(_OfKernels):
    """Single weights of every kernel; biases and BatchNorm are left out.

    Args:
        depthwise: Whether depthwise kernels lose weights too, whose few weights per channel cost little and matter
            much. Defaults to `False`, as in tensorflow-model-optimization.
    """

    depthwise: bool = False

    def part(self, kernel: Slice) -> Part:
        """Returns the kernel, with every weight an entry."""
        return Part(kernel.variable, inputs=inputs_of(kernel))


@dataclass(frozen=True)
class WeightBlock(_OfKernels):
    """Rectangles of weights, inputs × outputs, which sparse kernels can skip at once.

    Rows run along the axes that an output is a sum over, columns along those of the outputs, whichever axes these are
    in a layer (a transposed convolution swaps them, attention has several); in tables of embeddings and depthwise
    kernels, which sum over no channels, along the last two axes. Rectangles are cut off at the edges of a kernel.
    Kernels with fewer than two axes are kept whole.

    Args:
        rows: Height of a rectangle, along the inputs. Defaults to 1.
        columns: Width of a rectangle, along the outputs. Defaults to 4.
        pooling: How the scores of its weights make that of a rectangle: `"mean"`, so that those at the edges compete
            as equals, or `"max"`. Defaults to `"mean"`.
        depthwise: As for `Weight`. Defaults to `False`.

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
        raise_faults(
            "Invalid arguments for WeightBlock:", faults + choice_faults(("mean", "max"), pooling=self.pooling)
        )

    def entries(
        self, shape: Sequence[int], inputs: Sequence[int] = (-2,), outputs: Sequence[int] = (-1,)
    ) -> np.ndarray:
        """Returns the index of the rectangle of every weight, shape `shape`.

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
        """Returns the kernel with its rectangles, if it has at least two axes."""
        shape, inputs = tuple(kernel.variable.shape), inputs_of(kernel)
        if len(shape) < 2:
            return None
        made = [axis for axis in kernel.makes if axis not in inputs]
        others = made or [axis for axis in range(len(shape)) if axis not in inputs][-1:]
        entry = self.entries(shape, inputs, others) if inputs and others else self.entries(shape)
        return Part(kernel.variable, None, entry, self.pooling, inputs)


def inputs_of(kernel: Slice) -> tuple[int, ...]:
    """Returns the axes of a kernel over which an output is summed: those of the inputs.

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
    """Returns whether a kernel is the depthwise one of a separable layer, which reads each channel separately."""
    return kernel.variable.name == "depthwise_kernel"


def _flat(shape: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    """Returns the flat index of every position along some axes; its length is 1 along the others."""
    grid, index = np.indices(shape, sparse=True), np.zeros((1,) * len(shape), int)
    for axis in axes:
        index = index * shape[axis] + grid[axis]
    return index


@dataclass(frozen=True)
class _OfGroups(Granularity):
    """Base class for whole channels: one unit per group, with its name.

    Args:
        coupling: The residual width mode of masks, `"tied"` or `"free"`, as for `kp.trace`. Defaults to `"tied"`.
            (`"padded"` keeps the first channels of a trunk, whatever their scores are.)
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
        """Returns `(kernel, axis, channel of each position)` for every kernel with channels of a group."""
        raise PruneError(f"{type(self).__name__} has no kernels(). Override it.")

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per prunable group all of whose kernels are trained."""
        graph = trace(model, coupling=self.coupling, freeze=freeze, unknown="freeze")
        warn_of_unknown(graph, "A mask of whole channels")
        units = self.candidates(graph, {name: group.size for name, group in graph.prunable.items()})
        if not units:
            graph.check_merged()
        return graph, [unit for unit in units if all(part.variable.trainable for part in unit.parts)]

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{group name: number of channels kept}`.

        Args:
            graph: The model's graph.
            keep: Fraction kept of the channels of every prunable group, or `{group name: fraction}` for some.

        Raises:
            PruneError: A name is not that of a group, or the group must be kept whole.
        """
        fractions = keep if isinstance(keep, Mapping) else dict.fromkeys(graph.prunable, keep)
        asked = {name: kept_number(graph.group(name).size, fraction) for name, fraction in fractions.items()}
        numbers = {name: divisible_number(graph, name, number) for name, number in asked.items()}
        faults = [
            f"group {name!r} must be kept whole: {graph.groups[name].reason}."
            for name, number in numbers.items()
            if number < graph.groups[name].size and not graph.groups[name].prunable
        ]
        raise_faults("The channels asked for cannot be removed:", faults)
        return numbers

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns one unit for every named group with channels in some kernel."""
        units = []
        for name, number in kept.items():
            parts = tuple(Part(kernel.variable, axis, entry) for kernel, axis, entry in self.kernels(graph, name))
            if parts:
                units.append(Unit.of(name, graph.groups[name].size, number, parts))
        return units

    def comparable(self, scores: Any) -> Any:
        """Returns the scores divided by their mean, the highest made infinite, so that no group loses all channels."""
        relative = scores / ops.maximum(ops.mean(scores), 1e-30)
        return ops.where(relative >= ops.max(relative), np.inf, relative)


@dataclass(frozen=True)
class Filter(_OfGroups):
    """Whole channels, in every kernel that makes them; `kp.rebuild` can remove them afterwards."""

    def kernels(self, graph: ChannelGraph, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that make the channels."""
        return graph.made_by(name)


@dataclass(frozen=True)
class Channel(_OfGroups):
    """Whole channels, in every kernel that reads them; `kp.rebuild` can remove them afterwards."""

    def kernels(self, graph: ChannelGraph, name: str) -> list[tuple[Slice, int, np.ndarray]]:
        """Returns the kernels that read the channels."""
        return graph.read_by(name)


@dataclass(frozen=True)
class Scale(_OfGroups):
    """Whole channels, in the scales γ and shifts β of the BatchNorms after them, which no later layer undoes.

    With one fraction for all groups, those that no BatchNorm scales are kept whole, with a warning.
    """

    def numbers(self, graph: ChannelGraph, keep: Keep) -> dict[str, int]:
        """Returns `{group name: number of channels kept}`; for one fraction, of the scaled groups."""
        if isinstance(keep, Mapping):
            return super().numbers(graph, keep)
        faults = {name: scale_fault(graph, name) for name in graph.prunable}
        left = [f"group {name!r} is kept whole: {fault}" for name, fault in faults.items() if fault]
        if left:
            warn("; ".join(left[:5]) + ("; …" if len(left) > 5 else ""))
        return super().numbers(graph, {name: keep for name, fault in faults.items() if not fault})

    def candidates(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns one unit for every named group that is scaled.

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
        """Returns the scales of the channels, each with its shift."""
        found = []
        for scale, axis, channel in graph.scaled_by(name):
            shifts = (each for each in graph.slices if each.owner is scale.owner and each.role == "bias")
            found += [(each, axis, channel) for each in (scale, *shifts)]
        return found


def _size(part: Part) -> int:
    """Returns the number of entries of a part without an axis."""
    return int(np.prod(part.variable.shape)) if part.entry is None else int(part.entry.max()) + 1
