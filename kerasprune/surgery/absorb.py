"""Absorption: the constant that a removed channel still emits is folded into its consumers.

A channel whose kernels are zero still emits its bias, or the β of its BatchNorm, through the activation: the same
number at every position. For a consumer that is `bias += Σ_removed Σ_taps kernel · constant`, exact wherever all taps
lie inside the image, that is everywhere but at the border of padded convolutions. A consumer without a bias, in front
of a BatchNorm, needs none: `μ −= …` there does the same. β is also the mean of what the BatchNorm emitted before. With
its old statistics a kernel at zero would come out as `β − γ μ / σ`, far from anything that the channel ever emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.graph.channels import Ids, Slice, TracedCall
from kerasprune.graph.rule import (
    BIAS,
    CARRIED,
    EVALUATED,
    NORMALISED,
    PADDED,
    POINTWISE,
    SILENT,
    UNKNOWN,
    channel_axis,
    find,
)
from kerasprune.graph.trace import dropped
from kerasprune.graph.walk import functional, walk
from kerasprune.surgery.applied_plan import Cut
from kerasprune.surgery.next_batchnorm import following_norms

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


@dataclass
class Folded:
    """What was folded.

    Args:
        biases: `{id(layer): (layer, its new bias, cut to the channels that stay)}`; names may repeat in nested models.
        means: `{id(BatchNorm): (BatchNorm, its new moving mean, cut likewise)}`, of those behind layers without bias.
        padded: Names of layers where it is approximate: at the border of the image, or between the strides of a
            transposed convolution.
        lost: Names of layers whose removed inputs are no constants, or that can hold no bias: those are dropped.
    """

    biases: dict[int, tuple[Any, np.ndarray]] = field(default_factory=dict)
    means: dict[int, tuple[Any, np.ndarray]] = field(default_factory=dict)
    padded: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def added(self) -> dict[int, np.ndarray]:
        """`{id(layer): bias}` of the biases that did not exist before."""
        return {key: bias for key, (layer, bias) in self.biases.items() if layer.bias is None}

    @property
    def changed(self) -> dict[int, np.ndarray]:
        """`{id(variable): value}` of the variables that are there."""
        biases = {id(layer.bias): bias for layer, bias in self.biases.values() if layer.bias is not None}
        return biases | {id(norm.moving_mean): mean for norm, mean in self.means.values()}


def fold(part: Cut) -> Folded:
    """Returns the biases that make up for the removed channels.

    Args:
        part: The dense model's graph with a plan applied.

    Returns:
        The folded biases, and where folding is not exact.
    """
    graph, alive = part.graph, part.alive
    folded = Folded()
    if alive.all():
        return folded
    stays = alive | ~graph.there  # what went with its block emits nothing that had to be made up for
    kernels: dict[int, list[Slice]] = {}
    for kernel in graph.kernels:
        kernels.setdefault(id(kernel.owner), []).append(kernel)
    deltas: dict[int, tuple[Any, np.ndarray]] = {}
    bordered: set[int] = set()
    for call, inputs in _constants(part, stays):
        layer = call.operation
        reading = [kernel for kernel in kernels.get(id(layer), ()) if kernel.reads]
        if not reading:
            continue
        delta = _asked(layer, reading, call, inputs, stays)
        if id(layer) in deltas and not np.allclose(deltas[id(layer)][1], delta):
            delta = np.full_like(delta, np.nan)  # a shared layer that would need two biases
        deltas[id(layer)] = layer, delta
        if any(x.bordered for x in inputs):
            bordered.add(id(layer))
    norms = following_norms(graph)
    for layer, delta in deltas.values():
        _note(folded, layer, delta, kernels[id(layer)], alive, id(layer) in bordered, norms.get(id(layer)))
    return folded


def _asked(layer: Any, reading: list[Slice], call: TracedCall, inputs: list[_Emitted], alive: np.ndarray) -> np.ndarray:
    """Returns what one call asks to be added to a layer's bias; NaN where no bias can make up for it."""
    if not any(_emits(x.values, ids, alive) for x, ids in zip(inputs, call.inputs, strict=True)):
        return np.zeros(1)
    if find(layer).constant != BIAS:
        return np.full(1, np.nan)  # a layer that reads through several kernels, or keeps a state
    return _delta(reading, _removed_line(inputs[0].values, call.inputs[0], alive, channel_axis(layer)))


def _note(
    folded: Folded, layer: Any, delta: np.ndarray, kernels: list[Slice], alive: np.ndarray, bordered: bool, norm: Any
) -> None:
    """Enters one layer's folded bias, or the mean of the BatchNorm behind it, or says that it is lost."""
    if (delta == 0).all():
        folded.padded += [layer.name] * bordered  # nothing but at the border
        return
    if np.isnan(delta).any() or getattr(layer, "use_bias", None) is None:
        folded.lost.append(layer.name)
        return
    out = kernels[-1].ids[kernels[-1].makes[0]]
    out = np.resize(out, delta.size) if out.size != delta.size else out
    if layer.bias is None and norm is not None:
        mean = keras.ops.convert_to_numpy(norm.moving_mean)
        folded.means[id(norm)] = norm, (mean - delta)[alive[out]]
    else:
        old = 0.0 if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
        folded.biases[id(layer)] = layer, (old + delta)[alive[out]]
    wide = prod(getattr(layer, "kernel_size", (1,))) > 1
    if bordered or wide and (layer.padding != "valid" or isinstance(layer, _TRANSPOSED)):
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


def _removed_line(values: np.ndarray, ids: Ids, alive: np.ndarray, axis: int) -> np.ndarray:
    """Returns the constants along the channel axis that a layer reads, zero where the channel stays."""
    return _steady(np.where(_removed(ids, alive), values, 0.0), {axis % len(ids.shape)}).ravel()


def _steady(values: np.ndarray, axes: Collection[int]) -> np.ndarray:
    """Returns the values with size one along all other axes; NaN where they differ along them."""
    others = tuple(axis for axis, size in enumerate(values.shape) if axis not in axes and size != 1)
    if not others:
        return values
    low, high = values.min(axis=others, keepdims=True), values.max(axis=others, keepdims=True)
    return np.where(np.isclose(low, high, rtol=1e-5, atol=1e-9), low, np.nan)


def _delta(kernels: list[Slice], constant: np.ndarray) -> np.ndarray:
    """Returns `Σ_removed Σ_taps kernel · constant` for every output of a layer, through its kernels in order."""
    for kernel in kernels:
        array = keras.ops.convert_to_numpy(kernel.variable)
        if not kernel.makes:  # the depthwise half of a separable convolution
            taps = array.sum(axis=tuple(range(array.ndim - 2)), dtype="float64")
            constant = (constant[:, None] * taps).ravel()
            continue
        axes = kernel.reads[0], kernel.makes[0]
        taps = np.moveaxis(array, axes, (-2, -1))
        if array.ndim > 2:
            taps = taps.sum(axis=tuple(range(array.ndim - 2)), dtype="float64")
        if isinstance(kernel.owner, _TRANSPOSED):
            taps = taps / prod(np.atleast_1d(kernel.owner.strides))
        groups = constant.size // taps.shape[0]
        if groups == 1:
            constant = (constant.astype(taps.dtype) @ taps).astype("float64")
            continue
        rows = constant.reshape(groups, 1, -1)
        constant = (rows @ taps.reshape(taps.shape[0], groups, -1).transpose(1, 0, 2)).ravel()
    return constant


@dataclass(frozen=True)
class _Emitted:
    """The constants of one tensor, standing for it during the walk.

    `values` has the tensor's rank, and size one along the axes that carry no channels: there all positions emit the
    same. NaN where what is emitted is no constant. `bordered` where it holds inside a border of zeros only.
    """

    values: np.ndarray
    bordered: bool = False


def _constants(part: Cut, alive: np.ndarray) -> list[tuple[TracedCall, list[_Emitted]]]:
    """Walks the model with constants in place of tensors; returns every call with those that went in."""
    graph = part.graph
    calls = iter(graph.calls)
    seen: list[tuple[TracedCall, list[_Emitted]]] = []

    def visit(node: Any, *args: Any, **kwargs: Any) -> list[_Emitted]:
        call = next(calls)
        emitted = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Emitted)]
        for sum_ in graph.padded:
            if sum_.node is node:  # what a narrow branch has lost adds nothing to its trunk
                x = emitted[sum_.index]
                new = replace(x, values=np.where(_removed(call.inputs[sum_.index], alive), 0.0, x.values))
                emitted[sum_.index] = new
                args = keras.tree.map_structure(lambda y, x=x, new=new: new if y is x else y, args)
        seen.append((call, emitted))
        if not any(_removed(output, alive).any() for output in call.outputs):
            return [_nothing(output) for output in call.outputs]
        rule = find(call.operation)
        kind = rule.constant if rule else UNKNOWN
        bordered = kind != BIAS and any(x.bordered for x in emitted)
        bordered |= kind == PADDED and _emits(emitted[0].values, call.inputs[0], alive)
        with np.errstate(all="ignore"):
            return [replace(x, bordered=bordered) for x in _PASS[kind](call, emitted, args, kwargs, alive)]

    body = functional(graph.model)
    inputs = [_Emitted(np.full([1] * len(x.shape), np.nan)) for x in body.inputs]
    walk(body, inputs, visit, dropped=dropped(graph.model, part.plan.removed, _gone))
    return seen


def _gone(tensor: keras.KerasTensor) -> _Emitted:
    """What went with its block emits nothing."""
    return _Emitted(np.zeros([1] * (len(tensor.shape) - 1) + [tensor.shape[-1]]))


def _nothing(ids: Ids, value: float = np.nan) -> _Emitted:
    shape = [size if axis in ids.axes else 1 for axis, size in enumerate(ids.shape)]
    return _Emitted(np.full(shape, value))


def _bias(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """A layer that makes channels: a removed one emits its bias, through the layer's own activation."""
    layer, output = call.operation, call.outputs[0]
    ((axis, ids),) = output.axes.items()
    bias = np.zeros(ids.size) if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    line = np.where(alive[ids], 0.0, bias).astype("float64")
    if layer.activation is not keras.activations.linear:
        activated = layer.activation(keras.ops.convert_to_tensor(line[None], "float32"))
        line = keras.ops.convert_to_numpy(activated)[0].astype("float64")
    return [_Emitted(_along(line, axis, len(output.shape)))]


def _carried(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
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
    return [_Emitted(_along(line, axis, len(output.shape)))]


def _normalised(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """BatchNorm, `γ (x − μ) / √(σ² + ε) + β`: a removed channel emits β, its mean over the data.

    Positions that are removed emit what comes in, normalised.
    """
    layer, source, output = call.operation, call.inputs[0], call.outputs[0]
    axis = layer.axis % len(output.shape)

    def line(variable: Any) -> np.ndarray:
        return _along(keras.ops.convert_to_numpy(variable).astype("float64"), axis, len(output.shape))

    beta = line(layer.beta) if layer.center else _along(np.zeros(output.shape[axis]), axis, len(output.shape))
    if source.axes.keys() <= {axis}:
        return [_Emitted(beta)]
    scale = (line(layer.gamma) if layer.scale else 1.0) / np.sqrt(line(layer.moving_variance) + layer.epsilon)
    scaled = scale * (emitted[0].values - line(layer.moving_mean)) + beta
    gone = ~_along(alive[source.axes[axis]], axis, len(output.shape)) if axis in source.axes else False
    return [_Emitted(np.where(gone, beta, scaled))]


def _silent(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """Nothing passes."""
    return [_nothing(output, 0.0) for output in call.outputs]


def _unknown(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """What passes is no constant."""
    return [_nothing(output) for output in call.outputs]


def _pointwise(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """The layer is run on one position, but for axes whose size it insists on."""
    specs = [spec for spec in keras.tree.flatten(getattr(call.operation, "input_spec", None)) if spec is not None]
    sizes = {axis: size for spec in specs for axis, size in (spec.axes or {}).items() if size is not None}
    return _run(call, args, kwargs, [_sized(x.values.shape, sizes) for x in emitted])


def _sized(shape: tuple[int, ...], sizes: dict[int, int]) -> list[int]:
    fixed = {axis % len(shape): size for axis, size in sizes.items()}
    return [fixed.get(axis, size) for axis, size in enumerate(shape)]


def _evaluated(call: TracedCall, emitted: list, args: Any, kwargs: Any, alive: np.ndarray) -> list[_Emitted]:
    """The layer is run on tensors of its own size that hold the constants everywhere."""
    return _run(call, args, kwargs, [[1 if size is None else size for size in ids.shape] for ids in call.inputs])


def _run(call: TracedCall, args: Any, kwargs: Any, shapes: list) -> list[_Emitted]:
    """Runs a layer on constants; what depends on inputs that are no constants comes out as NaN."""
    run = _bare(call.operation)
    given = [x.values for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Emitted)]
    known = not any(np.isnan(values).any() for values in given)
    results = []
    for probe in range(1 if known else 3):  # zeros, then random numbers: what is not known may be anything
        feed, random = iter(shapes), None if known else np.random.default_rng(probe)

        def tensor(x: Any, feed: Any = feed, probe: int = probe, random: Any = random) -> Any:
            if not isinstance(x, _Emitted):
                return x
            full = np.broadcast_to(x.values, next(feed))
            if random is not None:
                full = np.where(np.isnan(full), 3.0 * probe * random.normal(size=full.shape), full)
            return keras.ops.convert_to_tensor(full.astype("float32"))

        filled_args, filled_kwargs = keras.tree.map_structure(tensor, (args, kwargs))
        outputs = keras.tree.flatten(run(*filled_args, **filled_kwargs))
        results.append([keras.ops.convert_to_numpy(y) for y in outputs])
    if known:
        return [_Emitted(_steady(y.astype("float64"), ids.axes)) for y, ids in zip(*results, call.outputs, strict=True)]
    return [_Emitted(_steady(_agreed(each), ids.axes)) for *each, ids in zip(*results, call.outputs, strict=True)]


def _agreed(results: list[np.ndarray]) -> np.ndarray:
    """Returns what several runs agree on, NaN elsewhere."""
    first, *others = results
    same = np.full(first.shape, first.dtype.kind == "f")  # what is counted or compared differs too seldom
    for other in others:
        same &= np.isclose(first, other, rtol=1e-6, atol=1e-9)
    return np.where(same, first.astype("float64"), np.nan)


def _bare(operation: Any) -> Callable:
    """Returns what an operation computes, without the casts and checks around it where they change nothing."""
    policy = getattr(operation, "dtype_policy", None)
    return operation.call if policy is None or policy.name == "float32" else operation


_PASS = {
    BIAS: _bias,
    CARRIED: _carried,
    EVALUATED: _evaluated,
    NORMALISED: _normalised,
    PADDED: _carried,
    POINTWISE: _pointwise,
    SILENT: _silent,
    UNKNOWN: _unknown,
}
