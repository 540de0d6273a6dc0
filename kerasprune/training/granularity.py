"""Granularities: what is removed as one. From a model to the units whose entries compete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from kerasprune.budgets.base import kept_number
from kerasprune.errors import PruneError, nearest, raise_faults, whole_number_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.registry import granularities
from kerasprune.training.candidates import Part, Unit

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
        owners = {kernel.owner.name for kernel in graph.kernels if not _named(kernel, graph.freeze)}
        fractions = keep if isinstance(keep, Mapping) else dict.fromkeys(owners, keep)
        faults = [f"Received: {name!r}.{nearest(name, owners)}" for name in fractions if name not in owners]
        raise_faults("Expected the names of layers with a kernel that is not to stay whole.", faults)
        return {
            path: kept_number(_size(part), fractions.get(kernel.owner.name, 1.0))
            for path, (kernel, part) in self._parts(graph).items()
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
            path, part = kernel.variable.path, self.part(kernel)
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
    """Single weights of every kernel; biases and BatchNorm are left out."""

    def part(self, kernel: Slice) -> Part:
        """Returns the kernel; every weight is an entry."""
        return Part(kernel.variable)


@dataclass(frozen=True)
class WeightBlock(_OfKernels):
    """Rectangles of weights over the last two axes (inputs × outputs), so that a kernel can skip them in one go.

    At the edges of a kernel rectangles are cut off. Kernels with fewer than two axes are left whole.

    Args:
        rows: Height of a rectangle, along the inputs. Defaults to 1.
        columns: Width of a rectangle, along the outputs. Defaults to 4.

    Raises:
        PruneError: A side is no whole number of at least 1.

    Example:
        >>> WeightBlock(rows=2, columns=2).entries((4, 4)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """

    rows: int = 1
    columns: int = 4

    def __post_init__(self) -> None:
        raise_faults("The blocks cannot be made:", whole_number_faults(1, rows=self.rows, columns=self.columns))

    def entries(self, shape: Sequence[int]) -> np.ndarray:
        """Returns for every weight the index of its rectangle, shape `shape`."""
        *outer, inputs, outputs = shape
        down, across = -(-inputs // self.rows), -(-outputs // self.columns)
        inner = (np.arange(inputs) // self.rows)[:, None] * across + np.arange(outputs) // self.columns
        return np.arange(int(np.prod(outer))).reshape(*outer, 1, 1) * (down * across) + inner

    def part(self, kernel: Slice) -> Part | None:
        """Returns the kernel with its rectangles, where it has at least two axes."""
        shape = kernel.variable.shape
        return Part(kernel.variable, None, self.entries(shape)) if len(shape) >= 2 else None


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


def _named(kernel: Slice, patterns: Sequence[str]) -> bool:
    """Whether the layer of a kernel is among names or wildcards."""
    return any(fnmatchcase(kernel.owner.name, pattern) for pattern in patterns)


def _size(part: Part) -> int:
    """Returns the number of entries of a part without an axis."""
    return int(np.prod(part.variable.shape)) if part.entry is None else int(part.entry.max()) + 1


def get(identifier: Any) -> Granularity:
    """Returns a granularity for a name, a `{"name": …}` dict, a class or an instance."""
    return granularities.get(identifier)
