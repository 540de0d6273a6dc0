"""Depth, width and resolution of networks: of one that was built, and the costs of all that can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import numpy_operations as knp
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import fill_slices, kept_number
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import input_shapes, shapes_at_size, size_faults
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensional.block_criterion import blocks_of, least_blocks
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import cost_of_what_stays

DIMENSIONS = ("depth", "width", "resolution")
NOTHING = Plan({})  # pruned
LEVELS = 64  # the largest number of widths that are tried
_SUMS = (layers.Add, knp.Add)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)


@dataclass(frozen=True)
class Extent:
    """The depth, width and resolution of a dense network, of which fractions are taken.

    Args:
        blocks: Number of blocks. Those that change the shape cannot be dropped, but count: sums of two branches, and
            in plain networks convolutions.
        droppable: Number of blocks that can be dropped.
        widths: Channels of every prunable group.
        side: Side of the inputs, in pixels.
    """

    blocks: int
    droppable: int
    widths: Mapping[str, int]
    side: int

    @classmethod
    def of(cls, model: keras.Model, side: int | None = None) -> Extent:
        """Returns the extent of a model.

        Args:
            model: The model.
            side: Side of the inputs, in pixels. Defaults to the model's own.

        Raises:
            PruneError: The model's side is free and none is given.
        """
        graph = trace(model, unknown="freeze")
        shape = body_of(model).inputs[0].shape[1:]
        if side is None and None in shape:
            raise PruneError(
                "Expected the side of the inputs: the model leaves it free. Received: size=None. "
                "Pass size=, e.g. size=32."
            )
        widths = {name: group.size for name, group in graph.prunable.items()}
        return cls(_count_blocks(graph), len(blocks_of(graph)), widths, side or max(shape, key=shape.count))

    def blocks_at(self, depth: float) -> int:
        """Returns the number of blocks at a depth, the nearest that is possible."""
        return max(self.blocks - self.droppable, round(depth * self.blocks))

    def channels_at(self, graph: ChannelGraph, width: float) -> dict[str, int]:
        """Returns the number of channels at a width of every group of a graph, which may have lost some."""
        return {
            name: min(group.size, kept_number(self.widths.get(name, group.size), width))
            for name, group in graph.prunable.items()
        }

    def side_at(self, resolution: float) -> int:
        """Returns the side in pixels at a resolution."""
        return max(1, round(resolution * self.side))

    def built_at(self, d: float = 1.0, w: float = 1.0, r: float = 1.0) -> tuple[float, float, float]:
        """Returns the depth, width and resolution that are built for given targets."""
        kept, dense = sum(kept_number(size, w) for size in self.widths.values()), sum(self.widths.values())
        return _share(self.blocks_at(d), self.blocks), _share(kept, dense), self.side_at(r) / self.side

    def fractions(self, model: keras.Model, side: int) -> tuple[float, float, float]:
        """Returns the depth, width and resolution of a network made from the dense one.

        Args:
            model: The network.
            side: The side of its inputs.
        """
        graph = trace(model, unknown="freeze")
        here = [name for name in graph.groups if name in self.widths]
        kept, dense = sum(graph.groups[name].size for name in here), sum(self.widths[name] for name in here)
        removed = self.droppable - len(blocks_of(graph))
        return _share(self.blocks - removed, self.blocks), _share(kept, dense), side / self.side


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def check_blocks(model: keras.Model, extent: Extent) -> None:
    """Raises a `PruneError` if a model has no blocks that can be dropped."""
    if not extent.droppable:
        raise PruneError(
            f"Expected a model with blocks that can be dropped. Received: {model.name!r}, which has none: its depth "
            "cannot change. Prune its width alone, or use a residual or dense network."
        )


def check_side(model: keras.Model, side: int) -> None:
    """Raises a `PruneError` if a model does not take inputs of a side."""
    shape = body_of(model).inputs[0].shape
    shapes = input_shapes(body_of(model))
    if size_faults(shapes, side) or shapes_at_size(body_of(model), side)[0].count(side) < min(2, len(shape) - 1):
        raise PruneError(
            "Expected a model with a free input side, e.g. input_shape=(None, None, 3), whose resolution can change. "
            f"Received: {model.name!r} with inputs of shape {tuple(shape)}. Build it with free "
            "sides and global pooling, and load the weights; or leave the resolution as it is."
        )


@dataclass(frozen=True)
class Costs:
    """MACs of every network that can be built from a dense one, by number of blocks, width and side.

    Args:
        depths: Fractions of the blocks.
        widths: Fractions of the channels, as built.
        resolutions: Fractions of the side.
        asked: The target widths.
        macs: MACs over the dense model's, shape `(depths, widths, resolutions)`.
    """

    depths: np.ndarray
    widths: np.ndarray
    resolutions: np.ndarray
    asked: np.ndarray
    macs: np.ndarray

    @classmethod
    def of(
        cls,
        model: keras.Model,
        extent: Extent,
        scores: Mapping[str, float],
        lower: tuple[float, float, float],
    ) -> Costs:
        """Counts the networks without building them.

        Args:
            model: The dense model.
            extent: Its extent.
            scores: Scores of its blocks; the lowest are dropped first.
            lower: Least depth, width and resolution.
        """
        least = max(extent.blocks - extent.droppable, ceil(lower[0] * extent.blocks - 1e-9))
        depths = np.arange(extent.blocks, least - 1, -1)
        sides = np.arange(extent.side, max(1, ceil(lower[2] * extent.side - 1e-9)) - 1, -1)
        if None not in body_of(model).inputs[0].shape[1:]:
            sides = sides[:1]  # the model's side is fixed
        asked = _widths(extent, lower[1])
        built = [extent.built_at(w=w)[1] for w in asked]
        # A kernel's multiply–adds are its size, a function of depth and width, times its positions, one of the side.
        at_sides = _at_sides(model, sides)
        sides, dense, total = sides[: len(at_sides)], at_sides[0], sum(at_sides[0].values())
        positions = {name: [one[name] / macs for one in at_sides] for name, macs in dense.items()}
        macs = np.zeros((len(depths), len(asked), len(sides)))
        for i, number in enumerate(depths):
            removed = least_blocks(dict(scores), extent.blocks - int(number))
            graph = trace(model, unknown="freeze", size=extent.side, removed=removed)
            for j, width in enumerate(asked):
                numbers = extent.channels_at(graph, width).items()  # the cost depends on their number alone
                kept = fill_slices(graph, {name: np.arange(number) for name, number in numbers})
                slim = cost_of_what_stays(graph, kept).macs_by_name
                macs[i, j] = np.sum([one * np.array(positions[name]) for name, one in slim.items()], axis=0) / total
        depths = np.array([_share(int(number), extent.blocks) for number in depths])
        return cls(depths, np.array(built), sides / extent.side, asked, macs)

    def grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns d, w, r and MACs of all networks, flat."""
        mesh = np.meshgrid(self.depths, self.widths, self.resolutions, indexing="ij")
        return tuple(x.ravel() for x in (*mesh, self.macs))

    def along(self, dimension: str, macs: float) -> tuple[float, float, float]:
        """Returns the target `(d, w, r)` nearest to a budget if one dimension alone shrinks.

        Raises:
            PruneError: The dimension cannot shrink so far.
        """
        axis = DIMENSIONS.index(dimension)
        line = self.macs[tuple(slice(None) if a == axis else 0 for a in range(3))]
        best = int(np.argmin(np.abs(line - macs)))
        if line.min() > macs and abs(line[best] - macs) > 0.1:
            raise PruneError(
                f"Expected a budget that {dimension} alone can meet: at least {line.min():.3f} of the MACs are "
                f"kept. Received: macs={macs}. Raise it."
            )
        asked = (self.depths, self.asked, self.resolutions)[axis][best]
        return tuple(float(asked) if a == axis else 1.0 for a in range(3))


def _at_sides(model: keras.Model, sides: np.ndarray) -> list[dict[str, int]]:
    """Returns the multiply–adds by layer at descending sides, down to the last that leaves an image to every layer."""
    found: list[dict[str, int]] = []
    for side in sides.tolist():
        try:
            found.append(cost(trace(model, unknown="freeze", size=side)).macs_by_name)
        except ValueError:
            if not found:
                raise
            break
    return found


def _widths(extent: Extent, lower: float) -> np.ndarray:
    """Returns the widths at which the largest group loses a channel, thinned out to at most `LEVELS`."""
    largest = max(extent.widths.values(), default=1)
    least = max(1, ceil(lower * largest - 1e-9))
    numbers = np.unique(np.linspace(least, largest, min(LEVELS, largest - least + 1)).round().astype(int))
    return numbers[::-1] / largest


def _count_blocks(graph: ChannelGraph) -> int:
    """Returns the number of blocks, those that cannot be dropped included."""
    blocks = blocks_of(graph)
    ends = {id(block.target) for block in blocks.values()}
    plain = {block.layers[0] for block in blocks.values() if block.kind == "plain"}
    fixed = 0
    for call in graph.calls:
        operation: Any = call.operation
        if plain:
            fixed += isinstance(operation, _CONVOLUTIONS) and operation.name not in plain
        elif isinstance(operation, _SUMS) and id(call.node.outputs[0]) not in ends:
            fixed += len(call.inputs) == 2 and call.inputs[0].shape == call.inputs[1].shape
    return len(blocks) + fixed


@dataclass(frozen=True)
class Point:
    """A network that was built, trained and measured.

    Args:
        d: Depth: fraction of the dense network's blocks that was built.
        w: Width: fraction of its channels that was built.
        r: Resolution: fraction of its input side.
        accuracy: The accuracy that `fit` returned.
        macs: Multiply–adds.
        params: Parameters.
        side: Side of the inputs, in pixels.
        plan: The plan from the dense network to this one.
        model: The trained network; `None` if only values were masked.
    """

    d: float
    w: float
    r: float
    accuracy: float
    macs: int
    params: int
    side: int
    plan: Plan = field(default=NOTHING, compare=False, repr=False)
    model: keras.Model | None = field(default=None, compare=False, repr=False)

    @property
    def facts(self) -> dict[str, float]:
        """All fields but the plan and the model."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.compare}


def measured_point(model: keras.Model, extent: Extent, side: int, accuracy: float, plan: Plan) -> Point:
    """Returns the point of a network, with its dimensions and costs.

    Args:
        model: The network.
        extent: The extent of the dense one.
        side: The side of its inputs.
        accuracy: Its accuracy.
        plan: The plan from the dense network to this one.
    """
    counted = cost(model, size=side)
    return Point(*extent.fractions(model, side), accuracy, counted.macs, counted.params, side, plan, model)
