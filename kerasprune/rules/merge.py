"""Layers and operations that combine tensors: element by element with broadcasting, or side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import TFDConcat
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids, take_positions
from kerasprune.graph.rule import POINTWISE, tensor_rule

_SUMS = (layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum)


@tensor_rule(*_SUMS, knp.Add, knp.Subtract, knp.Maximum, knp.Minimum, constant=POINTWISE, reads=())
def added(graph: GraphBuilder, operation: Any, x1: Any, x2: Any = None) -> Ids:
    """Couples summands: the list of a layer, or the two of `x + y`.

    Under `coupling="padded"` branches may be narrower than the trunk, the least deep summand.
    """
    operands = x1 if x2 is None else [x1, x2]
    if graph.coupling != "padded" or not _same_channels(operands):
        return combine(graph, operands, graph.merge)
    axis = len(operands[0].shape) - 1
    lines = [x.axes[axis] for x in operands]
    trunk = min(lines, key=graph.depth)
    for index, line in enumerate(lines):
        if line is not trunk and not np.array_equal(line, trunk):
            graph.pad(index, axis, trunk, line)
    return Ids(graph.call.outputs[0], {axis: trunk})


@tensor_rule(layers.Multiply, knp.Multiply, knp.Divide, knp.TrueDivide, knp.Power, constant=POINTWISE, reads=())
def multiplied(graph: GraphBuilder, operation: Any, x1: Any, x2: Any = None) -> Ids:
    """Couples factors, such as channels and their gate: the list of a layer, or the two of `x * y`."""
    return combine(graph, x1 if x2 is None else [x1, x2], graph.tie)


def _same_channels(operands: list[Any]) -> bool:
    """Returns whether all operands are tensors whose only channels lie along the last axis, equally wide."""
    if not all(isinstance(x, Ids) and list(x.axes) == [len(x.shape) - 1] for x in operands):
        return False
    return len({(len(x.shape), x.shape[-1]) for x in operands}) == 1


def combine(graph: GraphBuilder, operands: list[Any], couple: Callable[..., np.ndarray]) -> Ids:
    """Couples operands along every axis on which they are as wide as the result.

    Constant operands (arrays) are sliced with the channels; an operand of size one broadcasts.
    """
    shape = graph.call.outputs[0]
    axes: dict[int, np.ndarray] = {}
    constants: dict[int, dict[int, np.ndarray]] = {}
    for axis in range(len(shape)):
        here = [
            (index, operand, axis - len(shape))
            for index, operand in enumerate(operands)
            if len(shape_of(operand)) >= len(shape) - axis
            and (shape_of(operand)[axis - len(shape)] != 1 or shape[axis] == 1)
        ]
        carried = [o.axes[a % len(o.shape)] for _, o, a in here if isinstance(o, Ids) and a % len(o.shape) in o.axes]
        if not carried:
            continue
        axes[axis] = couple(*carried)
        for index, operand, back in here:
            if not isinstance(operand, Ids):
                constants.setdefault(index, {})[back] = carried[0]
            elif back % len(operand.shape) not in operand.axes:
                graph.pin(
                    carried[0], f"{graph.call.node.operation.name!r} combines them with channels that are always kept"
                )
    for index, sliced in constants.items():
        graph.argument(index, lambda value, take, sliced=sliced: take_positions(np.asarray(value), sliced, take))
    return Ids(shape, axes)


def shape_of(operand: Any) -> tuple[int | None, ...]:
    """Returns the shape of a tensor or a constant."""
    return operand.shape if isinstance(operand, Ids) else np.shape(operand)


@tensor_rule(layers.Concatenate, TFDConcat, knp.Concatenate, reads=("axis",))
def concatenate(graph: GraphBuilder, operation: Any, inputs: list[Ids]) -> Ids:
    """`out = [x_1; x_2; …]` along one axis; channels on the other axes are tied."""
    shape = graph.call.outputs[0]
    along = operation.axis % len(shape)
    axes = {}
    for axis in sorted(set().union(*(x.axes for x in inputs))):
        lines = [graph.on(x, axis) for x in inputs]
        axes[axis] = np.concatenate(lines) if axis == along else graph.tie(*lines)
    return Ids(shape, axes)
