"""Absorption: the constant that a removed channel still emits is folded into the biases of its consumers.

A channel whose kernels are zero still emits its bias, its BatchNorm β, through the activation: the same number at
every position. For a consumer that is `bias += Σ_removed Σ_taps kernel · constant`, exact wherever all taps lie inside
the image, that is everywhere but at the border of padded convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.graph import ChannelGraph, Ids, Slice, TracedCall
from kerasprune.plans import Plan
from kerasprune.rules.table import BIAS, CARRIED, EVALUATED, POINTWISE, SILENT, find
from kerasprune.walking import functional, walk

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
Values = dict[int, np.ndarray]
"""`{axis: constants}` of one tensor: for every position of a channel axis the number that it emits if removed."""


@dataclass
class Folded:
    """What was folded.

    Args:
        biases: `{layer name: (layer, its new bias, cut to the channels that stay)}`.
        added: `{layer name: size}` of the biases that did not exist before.
        padded: Names of layers where it is approximate at the border.
        lost: Names of layers whose removed inputs are no constants, or that can hold no bias: those are dropped.
    """

    biases: dict[str, tuple[Any, np.ndarray]] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    padded: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def fold(graph: ChannelGraph, plan: Plan) -> Folded:
    """Returns the biases that make up for the removed channels.

    Args:
        graph: The graph of the dense model.
        plan: What stays.

    Returns:
        The folded biases, and where folding is not exact.
    """
    alive = graph.alive(plan.keep)
    folded = Folded()
    if alive.all():
        return folded
    kernels: dict[int, list[Slice]] = {}
    for kernel in graph.kernels:
        kernels.setdefault(id(kernel.owner), []).append(kernel)
    deltas: dict[int, tuple[Any, np.ndarray | None]] = {}
    for call, inputs in _constants(graph, alive):
        layer = call.operation
        reading = [kernel for kernel in kernels.get(id(layer), ()) if kernel.reads]
        if not reading or not inputs:
            continue
        delta = _delta(reading, inputs[0], call.inputs[0], alive)
        if delta is not None and id(layer) in deltas and not np.allclose(deltas[id(layer)][1], delta):
            delta = np.full_like(delta, np.nan)  # a shared layer that would need two biases
        if delta is not None:
            deltas[id(layer)] = layer, delta
    for layer, delta in deltas.values():
        _note(folded, layer, delta, kernels[id(layer)], alive)
    return folded


def border_error(model: keras.Model, plan: Plan, inputs: Any) -> float:
    """Measures what folding costs at the borders.

    `max |slim(x) − weights-silenced(x)| / max |weights-silenced(x)|` over the first output.

    Args:
        model: The dense model.
        plan: What stays.
        inputs: A batch of real inputs.

    Returns:
        The largest relative difference; about 1e-6 where no folded layer is padded.
    """
    from kerasprune.masking import mask
    from kerasprune.rebuild import rebuild

    both = [rebuild(model, plan)(inputs), mask(model, plan, silence="weights")(inputs)]
    slim, silenced = (keras.ops.convert_to_numpy(keras.tree.flatten(y)[0]) for y in both)
    return float(np.abs(slim - silenced).max() / np.abs(silenced).max())


def _note(folded: Folded, layer: Any, delta: np.ndarray, kernels: list[Slice], alive: np.ndarray) -> None:
    """Enters one layer's folded bias, or says that it is lost."""
    config = layer.get_config()
    if np.isnan(delta).any() or "use_bias" not in config:
        folded.lost.append(layer.name)
        return
    if not np.abs(delta).max() > 0:
        return
    out = kernels[-1].ids[kernels[-1].makes[0]]
    out = np.resize(out, delta.size) if out.size != delta.size else out
    old = 0.0 if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    bias = (old + delta)[alive[out]]
    folded.biases[layer.name] = layer, bias
    if layer.bias is None:
        folded.added[layer.name] = bias.size
    if config.get("padding", "valid") != "valid" and prod(config.get("kernel_size", (1,))) > 1:
        folded.padded.append(layer.name)


def _delta(kernels: list[Slice], values: Values, ids: Ids, alive: np.ndarray) -> np.ndarray | None:
    """Returns `Σ_removed Σ_taps kernel · constant` for every output of a layer, through its kernels in order."""
    axis = next((a for a in ids.axes if a in values), None)
    if axis is None or alive[ids.axes[axis]].all():
        return None
    constant = np.where(alive[ids.axes[axis]], 0.0, values[axis])
    for kernel in kernels:
        array = keras.ops.convert_to_numpy(kernel.variable).astype("float64")
        if not kernel.makes:  # the depthwise half of a separable convolution
            taps = array.sum(axis=tuple(range(array.ndim - 2)))
            constant = (constant[:, None] * taps).ravel()
            continue
        order = (kernel.reads[0], kernel.makes[0])
        taps = np.moveaxis(array, order, (-2, -1))
        taps = taps.reshape(-1, *taps.shape[-2:]).sum(axis=0)
        if isinstance(kernel.owner, _TRANSPOSED):
            taps = taps / prod(np.atleast_1d(kernel.owner.strides))
        groups = constant.size // taps.shape[0]
        rows = constant.reshape(groups, 1, -1)
        constant = (rows @ taps.reshape(taps.shape[0], groups, -1).transpose(1, 0, 2)).ravel()
    return constant


def _constants(graph: ChannelGraph, alive: np.ndarray) -> list[tuple[TracedCall, list[Values]]]:
    """Walks the model with constants in place of tensors; returns every call with those that went in."""
    calls = iter(graph.calls)
    seen: list[tuple[TracedCall, list[Values]]] = []

    def visit(node: Any, *args: Any, **kwargs: Any) -> list[_Emitted]:
        call = next(calls)
        emitted = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Emitted)]
        seen.append((call, [x.values for x in emitted]))
        removed = any(not alive[ids].all() for output in call.outputs for ids in output.axes.values())
        if not removed:
            return [_Emitted({}) for _ in call.outputs]
        rule = find(call.operation)
        with np.errstate(all="ignore"):
            return [_Emitted(v) for v in _PASS[rule.constant if rule else SILENT](call, emitted, args, kwargs, alive)]

    body = functional(graph.model)
    walk(body, [_Emitted({}) for _ in body.inputs], visit)
    return seen


@dataclass(frozen=True)
class _Emitted:
    """The constants of one tensor, standing for it during the walk."""

    values: Values


def _bias(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Values]:
    """A layer that makes channels: a removed one emits its bias, through the layer's own activation."""
    layer, output = call.operation, call.outputs[0]
    values = {}
    for axis, ids in output.axes.items():
        bias = np.zeros(ids.size) if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
        removed = np.where(alive[ids], 0.0, bias)
        values[axis] = keras.ops.convert_to_numpy(
            layer.activation(keras.ops.convert_to_tensor(removed[None], "float32"))
        )[0]
    return [values]


def _carried(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Values]:
    """Space changes, constants do not; channels that are new are zeros."""
    x, source, output = emitted[0].values, call.inputs[0], call.outputs[0]
    before = {int(i): float(v) for axis, v in x.items() for i, v in zip(source.axes[axis], v, strict=True)}
    return [{axis: np.array([before.get(int(i), 0.0) for i in ids]) for axis, ids in output.axes.items()}]


def _silent(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Values]:
    """Nothing passes."""
    return [{axis: np.zeros(ids.size) for axis, ids in output.axes.items()} for output in call.outputs]


def _pointwise(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Values]:
    """The layer is run on one position."""
    return _run(call, emitted, args, kwargs, side=1)


def _evaluated(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[Values]:
    """The layer is run on tensors of its own size that hold the constants everywhere."""
    return _run(call, emitted, args, kwargs, side=None)


def _run(call: TracedCall, emitted: list, args: Any, kwargs: Any, side: int | None) -> list[Values]:
    """Runs a layer on constants; what depends on inputs that are no constants comes out as NaN."""
    results = []
    for unknown in (0.3717, 1.9231):
        feed = iter(zip(emitted, call.inputs, strict=True))
        filled = keras.tree.map_structure(
            lambda x: _tensor(*next(feed), side, unknown) if isinstance(x, _Emitted) else x,  # noqa: B023
            (args, kwargs),
        )
        outputs = keras.tree.flatten(call.operation(*filled[0], **filled[1]))
        results.append([keras.ops.convert_to_numpy(y).astype("float64") for y in outputs])
    values = []
    for first, second, output in zip(*results, call.outputs, strict=True):
        constant = np.where(np.isclose(first, second, rtol=1e-6, atol=1e-9), first, np.nan)
        values.append({axis: _line(constant, axis) for axis in output.axes})
    return values


def _tensor(emitted: _Emitted, ids: Ids, side: int | None, unknown: float) -> Any:
    """Returns a tensor that holds the constants along their axis, or `unknown` where there are none."""
    shape = [1] + [size if axis in ids.axes else side or size or 1 for axis, size in enumerate(ids.shape)][1:]
    values = emitted.values
    if len(values) != 1 or len(ids.axes) != 1:
        return keras.ops.full(shape, unknown, "float32")
    ((axis, line),) = values.items()
    line = np.nan_to_num(line, nan=unknown).astype("float32")
    view = line.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return keras.ops.convert_to_tensor(np.broadcast_to(view, shape))


def _line(array: np.ndarray, axis: int) -> np.ndarray:
    """Returns the numbers along one axis, at the first position of all others."""
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])[0]


_PASS = {BIAS: _bias, CARRIED: _carried, SILENT: _silent, POINTWISE: _pointwise, EVALUATED: _evaluated}
