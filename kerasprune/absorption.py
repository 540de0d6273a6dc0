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
from kerasprune.rules.table import BIAS, CARRIED, EVALUATED, POINTWISE, SILENT, UNKNOWN, find
from kerasprune.walking import functional, walk

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


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
    deltas: dict[int, tuple[Any, np.ndarray]] = {}
    for call, inputs in _constants(graph, alive):
        layer = call.operation
        reading = [kernel for kernel in kernels.get(id(layer), ()) if kernel.reads]
        if not reading or not any(_emits(*pair, alive) for pair in zip(inputs, call.inputs, strict=True)):
            continue
        delta = np.array([np.nan])  # a layer that reads through several kernels, or keeps a state
        if find(layer).constant == BIAS:
            delta = _delta(reading, _removed_line(inputs[0], call.inputs[0], alive))
        if id(layer) in deltas and not np.allclose(deltas[id(layer)][1], delta):
            delta = np.full_like(delta, np.nan)  # a shared layer that would need two biases
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


def _emits(values: np.ndarray, ids: Ids, alive: np.ndarray) -> bool:
    """Returns whether removed channels still emit something, or one does not know what."""
    return bool(np.where(_removed(ids, alive), np.nan_to_num(values, nan=1.0), 0.0).any())


def _removed(ids: Ids, alive: np.ndarray) -> np.ndarray:
    """Returns which positions of the channel axes are removed; other axes have size one."""
    removed = np.zeros([1] * len(ids.shape), bool)
    for axis, line in ids.axes.items():
        removed = removed | ~_along(alive[line], axis, len(ids.shape))
    return removed


def _along(line: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Returns a line laid along one axis of a tensor."""
    return line.reshape([-1 if a == axis else 1 for a in range(rank)])


def _removed_line(values: np.ndarray, ids: Ids, alive: np.ndarray) -> np.ndarray:
    """Returns the constants along the one channel axis that a layer reads, zero where the channel stays."""
    constant = np.where(_removed(ids, alive), values, 0.0)
    return constant.ravel() if len(ids.axes) == 1 else np.full(constant.size, np.nan)


def _delta(kernels: list[Slice], constant: np.ndarray) -> np.ndarray:
    """Returns `Σ_removed Σ_taps kernel · constant` for every output of a layer, through its kernels in order."""
    for kernel in kernels:
        array = keras.ops.convert_to_numpy(kernel.variable).astype("float64")
        if not kernel.makes:  # the depthwise half of a separable convolution
            taps = array.sum(axis=tuple(range(array.ndim - 2)))
            constant = (constant[:, None] * taps).ravel()
            continue
        taps = np.moveaxis(array, (kernel.reads[0], kernel.makes[0]), (-2, -1))
        taps = taps.reshape(-1, *taps.shape[-2:]).sum(axis=0)
        if isinstance(kernel.owner, _TRANSPOSED):
            taps = taps / prod(np.atleast_1d(kernel.owner.strides))
        groups = constant.size // taps.shape[0]
        rows = constant.reshape(groups, 1, -1)
        constant = (rows @ taps.reshape(taps.shape[0], groups, -1).transpose(1, 0, 2)).ravel()
    return constant


@dataclass(frozen=True)
class _Emitted:
    """The constants of one tensor, standing for it during the walk.

    `values` has the tensor's rank, and size one along the axes that carry no channels: there all positions emit the
    same. NaN where what is emitted is no constant.
    """

    values: np.ndarray


def _constants(graph: ChannelGraph, alive: np.ndarray) -> list[tuple[TracedCall, list[np.ndarray]]]:
    """Walks the model with constants in place of tensors; returns every call with those that went in."""
    calls = iter(graph.calls)
    seen: list[tuple[TracedCall, list[np.ndarray]]] = []

    def visit(node: Any, *args: Any, **kwargs: Any) -> list[_Emitted]:
        call = next(calls)
        emitted = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Emitted)]
        seen.append((call, [x.values for x in emitted]))
        if not any(_removed(output, alive).any() for output in call.outputs):
            return [_nothing(output) for output in call.outputs]
        rule = find(call.operation)
        with np.errstate(all="ignore"):
            return _PASS[rule.constant if rule else UNKNOWN](call, emitted, args, kwargs, alive)

    body = functional(graph.model)
    walk(body, [_Emitted(np.full([1] * len(x.shape), np.nan)) for x in body.inputs], visit)
    return seen


def _nothing(ids: Ids, value: float = np.nan) -> _Emitted:
    shape = [size if axis in ids.axes else 1 for axis, size in enumerate(ids.shape)]
    return _Emitted(np.full(shape, value))


def _bias(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """A layer that makes channels: a removed one emits its bias, through the layer's own activation."""
    layer, output = call.operation, call.outputs[0]
    ((axis, ids),) = output.axes.items()
    bias = np.zeros(ids.size) if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    removed = np.where(alive[ids], 0.0, bias)
    line = layer.activation(keras.ops.convert_to_tensor(removed[None], "float32"))
    return [_Emitted(_along(keras.ops.convert_to_numpy(line)[0].astype("float64"), axis, len(output.shape)))]


def _carried(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """Space changes, constants do not; channels that are new are zeros."""
    source, output = call.inputs[0], call.outputs[0]
    if len(source.axes) != 1 or len(output.axes) != 1:
        return [_nothing(output)]
    ((_, before),), ((axis, after),) = source.axes.items(), output.axes.items()
    known = dict(zip(before.tolist(), emitted[0].values.ravel().tolist(), strict=True))
    return [_Emitted(_along(np.array([known.get(i, 0.0) for i in after.tolist()]), axis, len(output.shape)))]


def _silent(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """Nothing passes."""
    return [_nothing(output, 0.0) for output in call.outputs]


def _unknown(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """What passes is no constant."""
    return [_nothing(output) for output in call.outputs]


def _pointwise(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """The layer is run on one position."""
    return _run(call, args, kwargs, [x.values.shape for x in emitted])


def _evaluated(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """The layer is run on tensors of its own size that hold the constants everywhere."""
    return _run(call, args, kwargs, [[size or 1 for size in ids.shape] for ids in call.inputs])


def _run(call: TracedCall, args: Any, kwargs: Any, shapes: list) -> list[_Emitted]:
    """Runs a layer on constants; what depends on inputs that are no constants comes out as NaN."""
    results = []
    for unknown in (0.3717, 1.9231):
        feed = iter(shapes)

        def tensor(x: Any, feed: Any = feed, unknown: float = unknown) -> Any:
            if not isinstance(x, _Emitted):
                return x
            full = np.broadcast_to(np.nan_to_num(x.values, nan=unknown), next(feed))
            return keras.ops.convert_to_tensor(full.astype("float32"))

        filled_args, filled_kwargs = keras.tree.map_structure(tensor, (args, kwargs))
        outputs = keras.tree.flatten(call.operation(*filled_args, **filled_kwargs))
        results.append([keras.ops.convert_to_numpy(y).astype("float64") for y in outputs])
    emitted = []
    for first, second, output in zip(*results, call.outputs, strict=True):
        constant = np.where(np.isclose(first, second, rtol=1e-6, atol=1e-9), first, np.nan)
        place = tuple(slice(None) if axis in output.axes else slice(0, 1) for axis in range(constant.ndim))
        emitted.append(_Emitted(constant[place]))
    return emitted


_PASS = {
    BIAS: _bias,
    CARRIED: _carried,
    EVALUATED: _evaluated,
    POINTWISE: _pointwise,
    SILENT: _silent,
    UNKNOWN: _unknown,
}
