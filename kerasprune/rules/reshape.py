"""Flatten, Reshape, Permute, space to depth: ids move as elements do."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Count, Ids
from kerasprune.graph.rule import CARRIED, UNKNOWN, rule, tensor_rule


@tensor_rule(layers.Flatten, reads=())
def flatten(graph: GraphBuilder, layer: layers.Flatten, x: Ids) -> Ids:
    """Every position becomes channels: the ids are tiled."""
    shape = graph.call.outputs[0]
    if layer.data_format == "channels_first" and len(x.shape) > 2:
        x = _transposed(x, [0, *range(2, len(x.shape)), 1])
    return reshaped(graph, x, shape)


@tensor_rule(layers.Reshape, reads=("target_shape",))
def reshape_layer(graph: GraphBuilder, layer: layers.Reshape, x: Ids) -> Ids:
    """Reshapes as `reshaped` does; the target shape of the layer follows the number of channels kept."""
    out = reshaped(graph, x, graph.call.outputs[0])
    graph.sets(layer, "target_shape", shape_by_counts(layer.target_shape, out, skip=1))
    return out


@tensor_rule(knp.Reshape, reads=("newshape",))
def reshape_operation(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Reshapes as `reshaped` does; the new shape in the call follows the number of channels kept."""
    out = reshaped(graph, x, graph.call.outputs[0])
    graph.sets(operation, "newshape", shape_by_counts(operation.newshape, out, skip=0))
    return out


@tensor_rule(layers.Permute, reads=("dims",))
def permute(graph: GraphBuilder, layer: layers.Permute, x: Ids) -> Ids:
    """Permutes the axes; `dims` counts from 1."""
    return _transposed(x, [0, *layer.dims])


@tensor_rule(knp.Transpose, reads=("axes",))
def transpose(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Permutes the axes."""
    axes = operation.axes if operation.axes is not None else range(len(x.shape))[::-1]
    return _transposed(x, [axis % len(x.shape) for axis in axes])


@tensor_rule(knp.Swapaxes, reads=("axis1", "axis2"))
def swapaxes(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Swaps two axes."""
    order = list(range(len(x.shape)))
    first, second = operation.axis1 % len(order), operation.axis2 % len(order)
    order[first], order[second] = order[second], order[first]
    return _transposed(x, order)


@tensor_rule(knp.ExpandDims, reads=("axis",))
def expand_dims(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Adds an axis of size one."""
    shape, order = graph.call.outputs[0], list(range(len(x.shape)))
    for axis in sorted({a % len(shape) for a in np.atleast_1d(operation.axis).tolist()}):
        order.insert(axis, None)
    return x.moved(shape, order)


@tensor_rule(knp.Squeeze, reads=("axis",))
def squeeze(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Removes axes of size one."""
    ones = [axis for axis, size in enumerate(x.shape) if size == 1]
    removed = np.atleast_1d(ones if operation.axis is None else operation.axis) % len(x.shape)
    return x.moved(graph.call.outputs[0], [axis for axis in range(len(x.shape)) if axis not in removed])


@tensor_rule(layers.RepeatVector, reads=("n",))
def repeat_vector(graph: GraphBuilder, layer: layers.RepeatVector, x: Ids) -> Ids:
    """Repeats the vector along a new axis."""
    return x.moved(graph.call.outputs[0], [0, None, 1])


def shape_by_counts(written: Sequence[int], out: Ids, skip: int) -> Any:
    """Returns `count -> shape`: the shape as the user wrote it, with the channel axes replaced by their counts.

    Args:
        written: The shape; −1 or `None` for a size that is free.
        out: The ids of the tensor of this shape, after axes that the user did not write.
        skip: The number of these axes.
    """

    def shape(count: Count) -> tuple[int, ...]:
        kept = {axis - skip: count(ids) for axis, ids in out.axes.items()}
        return tuple(kept.get(axis, size) if size not in (-1, None) else size for axis, size in enumerate(written))

    return shape


def _transposed(x: Ids, order: Sequence[int]) -> Ids:
    return x.moved(tuple(x.shape[axis] for axis in order), order)


def reshaped(graph: GraphBuilder, x: Ids, shape: tuple[int | None, ...]) -> Ids:
    """Returns the ids after a row-major reshape to `shape`.

    The axes before and after are paired in runs of equal size. Within a run, ids are tiled over the axes that carry
    none; `GraphBuilder.split` splits a channel axis in two, its inverse `join` joins two. Other channels are pinned,
    such as those folded into the batch.
    """
    axes: dict[int, np.ndarray] = {}
    folded = _size(x.shape, range(1, len(x.shape))) != _size(shape, range(1, len(shape)))
    for before, after in _runs(x.shape, shape):
        carrying = [axis for axis in before if axis in x.axes]
        if not carrying:
            continue
        if folded and not (len(before) == len(after) == 1 and x.shape[before[0]] == shape[after[0]] is not None):
            for axis in carrying:
                graph.pin(x.axes[axis], f"{graph.call.node.operation.name!r} reshapes them into the batch")
            continue
        sizes = [x.shape[axis] for axis in before]
        if len(carrying) == 2 and [s for a, s in zip(before, sizes, strict=True) if a not in carrying] in ([], [1]):
            flat = graph.join(x.axes[carrying[0]], x.axes[carrying[1]])
        elif len(carrying) > 1 or None in sizes or None in [shape[a] for a in after]:
            for axis in carrying:
                graph.pin(x.axes[axis], f"{graph.call.node.operation.name!r} reshapes them together with another axis")
            continue
        else:
            flat = _spread(x.axes[carrying[0]], before.index(carrying[0]), sizes)
        wide = [axis for axis in after if shape[axis] != 1]
        axes.update(_placed(graph, flat, wide, [shape[axis] for axis in wide]))
    return Ids(shape, axes)


def _spread(ids: np.ndarray, axis: int, sizes: Sequence[int]) -> np.ndarray:
    """Returns the ids of every element of a run whose channels lie on one of its axes."""
    view = ids.reshape([-1 if a == axis else 1 for a in range(len(sizes))])
    return np.broadcast_to(view, sizes).ravel()


def _placed(graph: GraphBuilder, flat: np.ndarray, axes: list[int], sizes: list[int]) -> dict[int, np.ndarray]:
    """Returns `{axis: ids}` of a flat run of ids: on the one axis along which it varies, or split over several."""
    if len(axes) <= 1:
        return {axes[0]: flat} if axes else {}
    grid = flat.reshape(sizes)
    for position, axis in enumerate(axes):
        line = np.moveaxis(grid, position, -1)
        line = line.reshape(-1, sizes[position])[0]
        if (_spread(line, position, sizes) == flat).all():
            return {axis: line}
    outer, inner = graph.split(flat, sizes[0], prod(sizes[1:]))
    return {axes[0]: outer, **_placed(graph, inner, axes[1:], sizes[1:])}


def _runs(before: Sequence[int | None], after: Sequence[int | None]) -> list[tuple[list[int], list[int]]]:
    """Pairs the axes of two shapes, without the batch, in the shortest runs of equal size.

    Equal known sizes at the end are paired first, so that a free size may precede them.
    """
    end, same = (len(before), len(after)), []
    while min(end) > 1 and before[end[0] - 1] == after[end[1] - 1] is not None:
        end = (end[0] - 1, end[1] - 1)
        same.append(([end[0]], [end[1]]))
    runs: list[tuple[list[int], list[int]]] = []
    left, right = list(range(1, end[0])), list(range(1, end[1]))
    if before[1:2] == after[1:2] == (None,) and _size(before, left[1:], -1) == _size(after, right[1:], -2):
        runs.append(([left.pop(0)], [right.pop(0)]))  # the rest is as large, so the free axis is as long
    if _size(before, left) != _size(after, right):
        return [(left, right), *same]  # part of it is moved into or out of the batch
    while left or right:
        run: tuple[list[int], list[int]] = ([], [])
        while (left or right) and not (all(run) and _size(before, run[0]) == _size(after, run[1]) is not None):
            first = not right or (left and _size(before, run[0], 1) <= _size(after, run[1], 1))
            run[0 if first else 1].append((left if first else right).pop(0))
        runs.append(run)
    return runs + same


def _size(shape: Sequence[int | None], axes: Sequence[int], free: int | None = None) -> Any:
    """Returns the number of elements over some axes; `free` if one of them has no fixed size."""
    sizes = [shape[axis] for axis in axes]
    return free if None in sizes else prod(sizes)


@rule(nn.DepthToSpace, constant=UNKNOWN, reads=("block_size",))
def depth_to_space(graph: GraphBuilder, operation: Any, x: np.ndarray) -> np.ndarray:
    """Channel `k·C + c` of a position becomes channel c of the k-th pixel of its block."""
    return graph.tie(*x.reshape(operation.block_size**2, -1))


@rule(nn.SpaceToDepth, constant=CARRIED, reads=("block_size",))
def space_to_depth(graph: GraphBuilder, operation: Any, x: np.ndarray) -> np.ndarray:
    """The pixels of a block become channels, pixel by pixel."""
    return np.tile(x, operation.block_size**2)
