"""`equalise`: moves the scale of each channel between the layer that makes it and those that read it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import activations

from kerasprune.checks import kind_faults
from kerasprune.errors import first_of, raise_faults, warn
from kerasprune.export.quantization.operators import Kind, function_of, kind_of
from kerasprune.export.quantization.rounded_layers import along, kernel_of
from kerasprune.graph.built_model import LOAD, body_of
from kerasprune.graph.graph import ChannelGraph, check_finite_weights, values
from kerasprune.graph.trace import trace, warn_of_unknown
from kerasprune.graph.walk import Wiring, bodies, is_model, wiring
from kerasprune.surgery.absorb import following_norms
from kerasprune.surgery.clone import clone
from kerasprune.surgery.weight_constraints import obeys

_PASSED = (Kind.SAME, Kind.AVERAGE, Kind.FREE)  # those that are activations are asked for first
_HOMOGENEOUS = (activations.linear, activations.relu, activations.leaky_relu)
_SWEEPS, _CLOSE = 100, 1.01  # at most so many; fewer if no scale is changed by more


def equalise(model: keras.Model) -> keras.Model:
    """Returns a model that computes the same function, with weights that lose less accuracy in int8.

    Through a function with f(s·x) = s·f(x) for s > 0, a channel that one layer makes and others read may have any
    scale. With W₁ the kernel that makes channel i, BatchNorm folded in, and W₂ those that read it:

        r₁ = max |W₁|,  r₂ = max |W₂|,  s = √(r₁ / r₂),    W₁ ← W₁ / s,  b₁ ← b₁ / s,  W₂ ← W₂ · s

    over all pairs until nothing changes. If a BatchNorm follows, its γ and β are divided instead. Use it before an
    export to int8: it also evens out the ranges of the activations. The gain is largest if one rounding step serves a
    whole kernel, and smaller with LiteRT, which has a step for each output channel.

    A pair has one convolution or dense layer that makes the channels, and only convolutions, depthwise ones among them,
    and dense layers that read them, through relu, leaky relu, pooling, padding, reshaping and dropout. All else is left
    as it is: channels that a sum or a concatenation reads, layers that are called several times, grouped convolutions
    that read, weights whose constraint holds their scale, and relu6, which clips at 6 whatever the scale; a warning
    names the layers before that.

    Args:
        model: A functional or Sequential model, preferably trained; it is left untouched.

    Returns:
        A new model, not compiled. Outputs differ by rounding alone.

    Raises:
        PruneError: The model is not functional, or not built.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((1,))
        >>> x = keras.layers.Dense(1, "relu", kernel_initializer=keras.initializers.Constant(8.0))(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))
        >>> [round(float(layer.kernel[0, 0]), 2) for layer in kp.quantization.equalise(model).layers[1:]]
        [2.83, 2.83]

    Reference:
        Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019,
        arXiv 1906.04721, §4.1.
    """
    raise_faults("The model cannot be equalised:", kind_faults(keras.Model, LOAD, model=model))
    check_finite_weights(model)
    graph = trace(model, unknown="freeze")
    warn_of_unknown(graph, "equalise")
    pairs, clipped = _pairs(graph)
    if clipped:
        warn(
            "Expected activations with f(s·x) = s·f(x) to equalise ranges through. Received: relu6 after "
            f"{first_of(clipped)}, whose channels keep their scales. Train with relu, or do not equalise."
        )
    factors = _factors(pairs)
    while broken := [
        pair for pair in pairs for side in pair for v, _ in side.scaled if not obeys(v, values(v) * factors[id(v)])
    ]:  # a constraint that does not allow the scale
        pairs = [pair for pair in pairs if pair not in broken]
        factors = _factors(pairs)
    new, _ = clone(
        model, value=lambda v: (values(v) * factors[id(v)]).astype(values(v).dtype) if id(v) in factors else values(v)
    )
    return new


@dataclass(frozen=True)
class Side:
    """A layer that makes the channels of a pair, the first, or one that reads them, the others.

    Args:
        layer: The layer.
        norm: The BatchNorm behind it, or `None`.
        axis: Axis of the channels in the kernel, among its last two: 0 or 1.
        channels: For each position along it the channel.
        scaled: The variables that a scale of the channels multiplies, each with the shape that it has there.
    """

    layer: Any
    norm: Any
    axis: int
    channels: np.ndarray
    scaled: tuple[tuple[Any, Sequence[int]], ...]

    def ranges(self, spans: dict[int, np.ndarray], number: int) -> np.ndarray:
        """Returns the largest size of a weight of each channel."""
        found = np.zeros(number)
        np.maximum.at(found, self.channels, spans[id(self.layer)].max(axis=1 - self.axis))
        return found

    def multiply(self, spans: dict[int, np.ndarray], factors: dict[int, Any], scales: np.ndarray) -> None:
        """Multiplies the channels."""
        line = scales[self.channels]
        spans[id(self.layer)] = spans[id(self.layer)] * (line[None] if self.axis else line[:, None])
        for variable, shape in self.scaled:
            factors[id(variable)] = factors[id(variable)] * line.reshape(shape)


def _factors(pairs: list[list[Side]]) -> dict[int, Any]:
    """Returns the factor of each variable with which the ranges of all pairs are even."""
    spans = {id(side.layer): _span(side.layer, side.norm) for pair in pairs for side in pair}
    factors: dict[int, Any] = defaultdict(lambda: 1.0)
    for _ in range(_SWEEPS):
        changes = [_evened(pair, spans, factors) for pair in pairs]
        if max(changes, default=1.0) < _CLOSE:
            break
    return factors


def _evened(pair: list[Side], spans: dict[int, np.ndarray], factors: dict[int, Any]) -> float:
    """Makes the ranges of both ends of a pair equal, zeros aside, and returns the largest change."""
    maker, *readers = pair
    number = maker.channels.size
    made, read = maker.ranges(spans, number), np.max([each.ranges(spans, number) for each in readers], axis=0)
    scales = np.sqrt(np.divide(made, read, out=np.ones(number), where=(made > 0) & (read > 0)))
    maker.multiply(spans, factors, 1 / scales)
    for each in readers:
        each.multiply(spans, factors, scales)
    return float(np.maximum(scales, 1 / scales).max())


def _span(layer: Any, norm: Any) -> np.ndarray:
    """Returns the largest sizes of a kernel over its taps, (n, m) of its last two axes, BatchNorm folded in."""
    variable, axes = kernel_of(layer)
    kernel = values(variable).astype("float64")
    if norm is not None and norm.scale:
        scale = values(norm.gamma) / np.sqrt(values(norm.moving_variance) + norm.epsilon)
        kernel = kernel * scale.reshape(along(kernel, axes))
    return np.abs(kernel).reshape(-1, *kernel.shape[-2:]).max(axis=0)


def _pairs(graph: ChannelGraph) -> tuple[list[list[Side]], list[str]]:
    """Returns the pairs of a model, and the names of layers whose outputs relu6 clips."""
    reads, norms = wiring(*bodies(body_of(graph.model))), following_norms(graph)
    times = Counter(id(call.operation) for call in graph.calls)
    nodes = {id(call.operation): call.node for call in graph.calls}
    ids = {id(entry.variable): entry.ids for entry in graph.slices}
    pairs, clipped = [], []
    for call in graph.calls:
        layer, norm = call.operation, norms.get(id(call.operation))
        if not _is_kernel(call.node):
            continue
        ends = list(_ends(nodes[id(norm)] if norm else call.node, reads, None if norm else layer.activation))
        if activations.relu6 in ends:
            clipped.append(layer.name)
        variable, axes = kernel_of(layer)
        made = ids[id(variable)][axes[0]]
        whole = np.unique(made).size == made.size == np.prod([variable.shape[axis] for axis in axes])
        alone = times[id(layer)] == 1 and all(_is_kernel(each) and times[id(each.operation)] == 1 for each in ends)
        if not (ends and alone and whole and (norm is None or norm.scale)):
            continue
        readers = [_reader(each.operation, norms.get(id(each.operation)), made, ids) for each in ends]
        lines = (norm.gamma, norm.beta) if norm else (layer.bias,)
        scaled = [(line, (-1,)) for line in lines if line is not None]
        if norm is None:
            scaled.append((variable, along(variable, axes[:1])))
        axis = axes[0] - len(variable.shape) + 2
        if None not in readers:
            pairs.append([Side(layer, norm, axis, np.arange(made.size), tuple(scaled)), *readers])
    return pairs, clipped


def _is_kernel(node: Any) -> bool:
    return hasattr(node, "operation") and kind_of(node) is Kind.KERNEL


def _reader(layer: Any, norm: Any, made: np.ndarray, ids: dict[int, Any]) -> Side | None:
    """Returns the side of a layer that reads channels; `None` if it does not read each of them as a whole."""
    variable, axes = kernel_of(layer)
    last = len(variable.shape) - 1
    axis = next((each for each in (last - 1, last) if each not in axes), last - 1)
    read = ids[id(variable)][axis]
    if read is None or getattr(layer, "groups", 1) > 1 or not np.isin(read, made).all():
        return None
    order = np.argsort(made)
    channels = order[np.searchsorted(made, read, sorter=order)]
    return Side(layer, norm, axis - last + 1, channels, ((variable, along(variable, (axis,))),))


def _ends(node: Any, reads: Wiring, function: Any = None) -> Iterator[Any]:
    """Yields the calls that read an output through functions that scales pass; one of those that do not, as it is.

    Args:
        node: The call.
        reads: Who reads what.
        function: The activation of the call, if it has one. Defaults to `None`.
    """
    if function is not None and function not in _HOMOGENEOUS:
        yield function
        return
    for each in reads.readers_of(node.outputs[0]):
        function = None if each is None or is_model(each.operation) else function_of(each)
        if function is not None or each is not None and kind_of(each) in _PASSED and len(each.input_tensors) == 1:
            yield from _ends(each, reads, function)
        else:
            yield each
