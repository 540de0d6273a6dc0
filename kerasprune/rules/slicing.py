"""Slicing, splitting and stacking: ids are sliced and joined as tensors are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from kerasprune._keras import core
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Count, Ids, Take
from kerasprune.graph.rule import tensor_rule


@tensor_rule(knp.GetItem, reads=())
def get_item(graph: GraphBuilder, operation: Any, x: Ids, key: Any) -> Ids:
    """`x[key]`: a range of channels follows those kept; a channel picked by its index pins its axis."""
    shape, axes, changes = graph.call.outputs[0], {}, {}
    before = after = 0
    full = _without_ellipsis(key, len(x.shape))
    for index, part in enumerate(full):
        if part is None:
            after += 1
            continue
        ids = x.axes.get(before)
        if ids is not None and isinstance(part, slice):
            whole = part in (slice(None), slice(0, None), slice(0, ids.size))
            axes[after] = ids if whole else ids[part]
            if part.step not in (None, 1):
                graph.pin(ids, f"{operation.name!r} takes every {part.step}th channel")
            if part != slice(None):
                changes[index] = ids, part
        elif ids is not None:
            graph.pin(ids, f"{operation.name!r} picks channels by index")
        before, after = before + 1, after + isinstance(part, slice)
    if changes:
        graph.argument(1, partial(_new_key, full, changes))
    return Ids(shape, axes)


def _new_key(full: tuple, changes: dict[int, tuple[np.ndarray, slice]], key: Any, take: Take) -> tuple:
    """Returns the key with its ranges counted in the channels kept."""
    new = list(full)
    for index, (ids, part) in changes.items():
        taken = take(ids)
        start, stop, step = part.indices(ids.size)
        new[index] = slice(_before(start, taken), _before(stop, taken), None) if step == 1 else part
    return tuple(new)


def _before(position: int, taken: np.ndarray) -> int:
    """Returns the number of channels kept before a position."""
    return int((taken < position).sum())


@tensor_rule(core.Slice, reads=("shape",))
def sliced(graph: GraphBuilder, operation: Any, x: Ids, start_indices: Any) -> Ids:
    """`ops.slice`: a range of channels follows those kept; one whose start is a tensor pins its axis."""
    if isinstance(start_indices, Ids):
        graph.pin_all(start_indices, f"{operation.name!r} begins at them")
    starts = start_indices if isinstance(start_indices, tuple | list | np.ndarray) else (None,) * len(x.shape)
    axes, begun, output = {}, {}, graph.call.outputs[0]
    for axis, ids in x.axes.items():
        start, size = starts[axis], output[axis]
        if size == ids.size:
            axes[axis] = ids
        elif size is not None and isinstance(start, int | np.integer) and start >= 0:
            axes[axis], begun[axis] = ids[start : start + size], ids
        else:
            graph.pin(ids, f"{operation.name!r} picks channels by index")
    if begun:
        graph.argument(1, partial(_new_starts, begun))
    shape = tuple(operation.shape)
    graph.sets(operation, "shape", lambda count: [count(axes[i]) if i in axes else n for i, n in enumerate(shape)])
    return Ids(output, axes)


def _new_starts(begun: dict[int, np.ndarray], starts: Any, take: Take) -> tuple[int, ...]:
    """Returns the starts, counted in the channels kept."""
    return tuple(_before(each, take(begun[axis])) if axis in begun else each for axis, each in enumerate(starts))


def _without_ellipsis(key: Any, rank: int) -> tuple:
    parts = tuple(key) if isinstance(key, tuple | list) else (key,)
    if not any(part is Ellipsis for part in parts):
        parts = (*parts, Ellipsis)
    at = next(i for i, part in enumerate(parts) if part is Ellipsis)
    missing = rank - sum(part is not None and part is not Ellipsis for part in parts)
    return (*parts[:at], *(slice(None),) * missing, *parts[at + 1 :])


@tensor_rule(knp.Split, reads=("indices_or_sections", "axis"))
def split(graph: GraphBuilder, operation: Any, x: Ids) -> list[Ids]:
    """Splits along one axis; the sections follow the channels."""
    along = operation.axis % len(x.shape)
    if along not in x.axes:
        return [Ids(shape, dict(x.axes)) for shape in graph.call.outputs]
    pieces, start = [], 0
    for shape in graph.call.outputs:
        pieces.append(x.axes[along][start : start + shape[along]])
        start += shape[along]

    def cuts(count: Count) -> list[int]:
        return np.cumsum([count(piece) for piece in pieces])[:-1].tolist()

    graph.sets(operation, "indices_or_sections", cuts)
    rest = {axis: ids for axis, ids in x.axes.items() if axis != along}
    return [Ids(shape, {**rest, along: p}) for shape, p in zip(graph.call.outputs, pieces, strict=True)]


@tensor_rule(knp.Stack, reads=("axis",))
def stack(graph: GraphBuilder, operation: Any, inputs: list[Ids]) -> Ids:
    """Stacks along a new axis; the tensors' channels are tied."""
    shape = graph.call.outputs[0]
    new = operation.axis % len(shape)
    axes = {}
    for axis in set().union(*(x.axes for x in inputs)):
        axes[axis + (axis >= new)] = graph.tie(*(graph.on(x, axis) for x in inputs))
    return Ids(shape, axes)


@tensor_rule(core.Unstack, reads=("num", "axis"))
def unstack(graph: GraphBuilder, operation: Any, x: Ids) -> list[Ids]:
    """Removes an axis, whose channels are picked by their index."""
    others = [axis for axis in range(len(x.shape)) if axis != operation.axis % len(x.shape)]
    graph.pin_all(x, f"{operation.name!r} picks channels by index", but=others)
    return [x.moved(shape, others) for shape in graph.call.outputs]


@tensor_rule(knp.Take, reads=("axis",))
def take(graph: GraphBuilder, operation: Any, x: Any, indices: Any) -> Ids:
    """Picks entries by index along one axis, whose channels are always kept; other axes are unchanged."""
    shape = graph.call.outputs[0]
    if isinstance(indices, Ids):
        graph.pin_all(indices, f"{operation.name!r} looks them up")
    if not isinstance(x, Ids):
        return Ids(shape)
    if operation.axis is None:
        graph.pin_all(x, f"{operation.name!r} picks from the flattened tensor")
        return Ids(shape)
    order: list[int | None] = list(range(len(x.shape)))
    along = order.pop(operation.axis)
    graph.pin_all(x, f"{operation.name!r} picks channels by index", but=order)
    order[along:along] = [None] * (len(shape) - len(order))
    return x.moved(shape, order)


@tensor_rule(knp.Roll, knp.Flip, reads=("shift", "axis"))
def roll(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Shifts entries along some axes, whose channels are kept."""
    along = range(len(x.shape)) if operation.axis is None else np.atleast_1d(operation.axis) % len(x.shape)
    for axis in along:
        if int(axis) in x.axes:
            graph.pin(x.axes[int(axis)], f"{operation.name!r} moves channels by index")
    return x
