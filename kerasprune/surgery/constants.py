"""The constants of removed channels, followed through a model.

Every call is given constants in place of tensors: what a removed channel emits is one number at all positions, through
bias, BatchNorm, activation and pooling, until a layer mixes channels or the output is not constant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import in_inference, is_of_keras
from kerasprune.backend.engine import full_precision
from kerasprune.graph.built_model import body_of
from kerasprune.graph.channels import Ids, TracedCall
from kerasprune.graph.graph import values
from kerasprune.graph.rule import (
    AVERAGED,
    BIAS,
    CARRIED,
    EVALUATED,
    NORMALISED,
    PADDED,
    POINTWISE,
    SILENT,
    UNKNOWN,
    find_or_try,
)
from kerasprune.graph.trace import tensors_left_out
from kerasprune.graph.walk import walk
from kerasprune.rules.probed import DEVIATIONS
from kerasprune.surgery.averages import axis_of_sum_one, weighted_mean
from kerasprune.surgery.cut import Cut

Calculation = Callable[[list[np.ndarray], list[tuple[int | None, ...]]], np.ndarray]
"""`calculation(values, shapes)`: the values that go in, with size one where all positions hold the same, and the shapes
of their tensors."""


def in_numpy(layer: Any) -> Calculation | None:
    """Returns the function that computes a call of a layer; `None` if Keras has to."""
    if getattr(getattr(layer, "dtype_policy", None), "compute_dtype", None) != "float32":
        return None  # casts are part of the call
    kind = type(layer)
    if kind is layers.Add:
        return lambda values, shapes: reduce(np.add, values)
    if kind is layers.Concatenate:
        return lambda values, shapes: _concatenated(values, shapes, layer.axis)
    if kind is layers.ReLU and not layer.negative_slope and not layer.threshold:
        return lambda values, shapes: np.clip(*values, 0, layer.max_value)
    function = activation_in_numpy(layer.activation) if kind is layers.Activation else None
    return None if function is None else lambda values, shapes: function(*values)


def activation_in_numpy(activation: Callable) -> Callable[[np.ndarray], np.ndarray] | None:
    """Returns one of the commonest activations in NumPy; `None` for the others."""
    return next((function for known, function in _ACTIVATIONS if activation is known), None)


def _concatenated(values: list[np.ndarray], shapes: list[tuple[int | None, ...]], axis: int) -> np.ndarray:
    """Returns values concatenated, at all positions that their tensors have along the axis."""
    axis %= values[0].ndim
    common = [max(sizes) for sizes in zip(*(x.shape for x in values), strict=True)]
    wanted = [(*common[:axis], shape[axis] or 1, *common[axis + 1 :]) for shape in shapes]
    pairs = zip(values, wanted, strict=True)
    return np.concatenate([x if x.shape == size else np.broadcast_to(x, size) for x, size in pairs], axis=axis)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


_ACTIVATIONS = (
    (keras.activations.linear, lambda x: x),
    (keras.activations.relu, lambda x: np.maximum(x, 0)),
    (keras.activations.sigmoid, _sigmoid),
    (keras.activations.silu, lambda x: x * _sigmoid(x)),
)


@dataclass(frozen=True)
class Emitted:
    """The constants of one tensor, standing for it during the walk.

    `values` has the tensor's rank, and size one along the axes that carry no channels: there all positions emit the
    same. NaN if the output is not constant. `bordered` where it holds inside a border of zeros only. Along the axis
    `ones`, if there is one, the numbers of the tensor sum to one.
    """

    values: np.ndarray
    bordered: bool = False
    ones: int | None = None


@full_precision()
def constants(cut: Cut, alive: np.ndarray) -> list[tuple[TracedCall, list[Emitted]]]:
    """Walks the model with constants in place of tensors; returns every call with those that went in."""
    graph = cut.graph
    calls = iter(graph.calls)
    seen: list[tuple[TracedCall, list[Emitted]]] = []

    def visit(node: Any, *args: Any, **kwargs: Any) -> list[Emitted]:
        call = next(calls)
        emitted = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Emitted)]
        for sum_ in graph.padded:
            if sum_.node is node:  # what a narrow branch has lost adds nothing to its trunk
                x = emitted[sum_.index]
                new = replace(x, values=np.where(_removed(call.inputs[sum_.index], alive), 0.0, x.values))
                emitted[sum_.index] = new
                args = keras.tree.map_structure(lambda y, x=x, new=new: new if y is x else y, args)
        seen.append((call, emitted))
        ones = axis_of_sum_one(call.operation, len(call.outputs[0].shape), emitted[0].ones if emitted else None)
        if not any(_removed(output, alive).any() for output in call.outputs):
            return [replace(_nothing(output), ones=ones) for output in call.outputs]
        rule = find_or_try(call.operation)
        kind = rule.constant if rule else UNKNOWN
        if any(not alive[call.outputs[0].axes[axis]].all() for axis in graph.emitting.get(id(node), ())):
            kind = UNKNOWN
        bordered = kind != BIAS and any(x.bordered for x in emitted)
        bordered |= kind == PADDED and emits(emitted[0].values, call.inputs[0], alive)
        with np.errstate(all="ignore"):
            return [replace(x, bordered=bordered, ones=ones) for x in _PASS[kind](call, emitted, args, kwargs, alive)]

    body = body_of(graph.model)
    inputs = [Emitted(np.full([1] * len(x.shape), np.nan)) for x in body.inputs]
    walk(body, inputs, visit, dropped=tensors_left_out(graph.model, cut.plan.removed, _removed_ids))
    return seen


def emits(values: np.ndarray, ids: Ids, alive: np.ndarray) -> bool:
    """Returns whether removed channels still emit something, or may do so."""
    return bool(np.where(_removed(ids, alive), np.nan_to_num(values, nan=1.0), 0.0).any())


def constant_line(values: np.ndarray, ids: Ids, alive: np.ndarray, axis: int) -> np.ndarray:
    """Returns the constants along the channel axis that a layer reads, zero where the channel stays."""
    return _steady(np.where(_removed(ids, alive), values, 0.0), {axis % len(ids.shape)}).ravel()


def _removed_ids(tensor: keras.KerasTensor) -> Emitted:
    """Returns zeros for a tensor that was removed with its block."""
    return Emitted(np.zeros([1] * (len(tensor.shape) - 1) + [tensor.shape[-1]]))


def _nothing(ids: Ids, value: float = np.nan) -> Emitted:
    shape = [size if axis in ids.axes else 1 for axis, size in enumerate(ids.shape)]
    return Emitted(np.full(shape, value))


def _bias(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """A layer that makes channels: a removed one emits its bias, through the layer's own activation."""
    layer, output = call.operation, call.outputs[0]
    ((axis, ids),) = output.axes.items()
    bias = np.zeros(ids.size) if layer.bias is None else values(layer.bias)
    line = np.where(alive[ids], 0.0, bias).astype("float64")
    quick = activation_in_numpy(layer.activation)
    if quick is not None:
        line = quick(line)
    else:
        activated = layer.activation(keras.ops.convert_to_tensor(line[None], "float32"))
        line = keras.ops.convert_to_numpy(activated)[0].astype("float64")
    return [Emitted(along_axis(line, axis, len(output.shape)))]


def _carried(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """Space changes, constants do not; channels that are new are zeros."""
    source, output = call.inputs[0], call.outputs[0]
    if len(source.axes) != 1 or len(output.axes) != 1:
        return [_nothing(output)]
    ((_, before),), ((axis, after),) = source.axes.items(), output.axes.items()
    line = np.broadcast_to(emitted[0].values.ravel(), before.size)
    times = after.size // before.size
    if np.array_equal(np.tile(before, times), after):
        line = np.tile(line, times)
    else:  # by position: after [x; x] one id may stand for two constants
        begin = int(np.flatnonzero(after == before[0])[0])
        line = np.pad(line, (begin, after.size - before.size - begin))
    return [Emitted(along_axis(line, axis, len(output.shape)))]


def _normalised(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """BatchNorm, `γ (x − μ) / √(σ² + ε) + β`: a removed channel emits β, its mean over the data.

    Positions that are removed emit what comes in, normalised.
    """
    layer, source, output = call.operation, call.inputs[0], call.outputs[0]
    axis = layer.axis % len(output.shape)

    def line(variable: Any) -> np.ndarray:
        return along_axis(values(variable).astype("float64"), axis, len(output.shape))

    beta = line(layer.beta) if layer.center else along_axis(np.zeros(output.shape[axis]), axis, len(output.shape))
    if source.axes.keys() <= {axis}:
        return [Emitted(beta)]
    scale = (line(layer.gamma) if layer.scale else 1.0) / np.sqrt(line(layer.moving_variance) + layer.epsilon)
    scaled = scale * (emitted[0].values - line(layer.moving_mean)) + beta
    removed = ~along_axis(alive[source.axes[axis]], axis, len(output.shape)) if axis in source.axes else False
    return [Emitted(np.where(removed, beta, scaled))]


def _averaged(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """A weighted mean over positions, such as attention's; other products are not constant."""
    found = weighted_mean(call.operation, [x.values for x in emitted], [x.ones for x in emitted])
    return [_nothing(call.outputs[0]) if found is None else Emitted(found)]


def _silent(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """Returns zeros: no constant passes."""
    return [_nothing(output, 0.0) for output in call.outputs]


def _unknown(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """The output is not constant."""
    return [_nothing(output) for output in call.outputs]


def _pointwise(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """The layer is run on one position, but for axes whose size it insists on."""
    specs = [spec for spec in keras.tree.flatten(getattr(call.operation, "input_spec", None)) if spec is not None]
    sizes = {axis: size for spec in specs for axis, size in (spec.axes or {}).items() if size is not None}
    return _run(call, args, kwargs, [_sized(x.values.shape, sizes) for x in emitted])


def _sized(shape: tuple[int, ...], sizes: dict[int, int]) -> list[int]:
    fixed = {axis % len(shape): size for axis, size in sizes.items()}
    return [fixed.get(axis, size) for axis, size in enumerate(shape)]


def _evaluated(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Emitted]:
    """The layer is run on tensors of its own size that hold the constants everywhere."""
    shapes = [[1 if size is None else size for size in ids.shape] for ids in call.inputs]
    try:
        return _run(call, args, kwargs, shapes)
    except Exception:  # noqa: BLE001  a reshape that folds the batch, say, may not run on one sample
        return [_nothing(output) for output in call.outputs]


def _run(call: TracedCall, args: Any, kwargs: Any, shapes: list) -> list[Emitted]:
    """Runs a layer on constants, in inference mode; outputs that depend on what is not constant are NaN.

    That is inputs that are not constant, and numbers that a layer of the user draws.
    """
    given = [x.values for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Emitted)]
    quick = in_numpy(call.operation)
    if quick is not None:
        ids = call.outputs[0]
        return [Emitted(_steady(quick(given, [each.shape for each in call.inputs]), ids.axes))]
    run, kwargs = _bare(call.operation), in_inference(call.operation, kwargs)
    known = not any(np.isnan(values).any() for values in given)
    draws = known and _may_draw(call.operation)
    results, random = [], np.random.default_rng(0)
    with keras.StatelessScope():  # seeds of the layer stay as they are
        for deviation in (0.0, *(() if known else DEVIATIONS), *[0.0] * draws):  # what is not known may be anything
            feed = iter(shapes)

            def tensor(x: Any, feed: Any = feed, deviation: float = deviation) -> Any:
                if not isinstance(x, Emitted):
                    return x
                full = np.broadcast_to(x.values, next(feed))
                full = full if known else np.where(np.isnan(full), deviation * random.normal(size=full.shape), full)
                return keras.ops.convert_to_tensor(full.astype("float32"))

            filled_args, filled_kwargs = keras.tree.map_structure(tensor, (args, kwargs))
            outputs = keras.tree.flatten(run(*filled_args, **filled_kwargs))
            results.append([keras.ops.convert_to_numpy(y) for y in outputs])
    return [Emitted(_steady(_agreed(each, known), ids.axes)) for *each, ids in zip(*results, call.outputs, strict=True)]


def _may_draw(operation: Any) -> bool:
    """Returns whether an operation may draw numbers in inference, too: none of Keras does."""
    return isinstance(operation, layers.Layer) and not is_of_keras(type(operation))


def _agreed(results: list[np.ndarray], known: bool) -> np.ndarray:
    """Returns the values that all runs agree on, NaN elsewhere; `known` if all were given the same numbers."""
    first, *others = results
    same = np.full(first.shape, first.dtype.kind == "f" or known)  # what is counted or compared differs too seldom
    for other in others:
        same &= np.isclose(first, other, rtol=1e-6, atol=1e-9)
    return np.where(same, first.astype("float64"), np.nan)


def _bare(operation: Any) -> Callable:
    """Returns the function that an operation computes, without casts and checks that change nothing."""
    policy = getattr(operation, "dtype_policy", None)
    return operation.call if policy is None or policy.name == "float32" else operation


def _removed(ids: Ids, alive: np.ndarray) -> np.ndarray:
    """Returns which positions of the channel axes are removed; other axes have size one."""
    removed = np.zeros([1] * len(ids.shape), bool)
    for axis, line in ids.axes.items():
        removed = removed | ~along_axis(alive[line], axis, len(ids.shape))
    return removed


def along_axis(line: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Returns a line laid along one axis of a tensor."""
    return line.reshape([-1 if a == axis else 1 for a in range(rank)])


def _steady(values: np.ndarray, axes: Collection[int]) -> np.ndarray:
    """Returns the values with size one along all other axes; NaN where they differ along them."""
    others = tuple(axis for axis, size in enumerate(values.shape) if axis not in axes and size != 1)
    if not others:
        return values
    low, high = values.min(axis=others, keepdims=True), values.max(axis=others, keepdims=True)
    return np.where(np.isclose(low, high, rtol=1e-5, atol=1e-9), low, np.nan)


_PASS = {
    AVERAGED: _averaged,
    BIAS: _bias,
    CARRIED: _carried,
    EVALUATED: _evaluated,
    NORMALISED: _normalised,
    PADDED: _carried,
    POINTWISE: _pointwise,
    SILENT: _silent,
    UNKNOWN: _unknown,
}
