"""Absorption: the constant that a removed channel still emits is folded into its consumers.

A channel whose kernels are zero still emits its bias, or the β of its BatchNorm, through the activation: the same
number at every position. For a consumer that is `bias += Σ_removed Σ_taps kernel · constant`, exact wherever all taps
lie inside the image, that is everywhere but at the border of padded convolutions. A consumer without a bias, followed
by a BatchNorm, needs none: `μ −= …` there does the same. β is also the mean of what the BatchNorm emitted before. With
its old statistics a kernel of zeros would give `β − γ μ / σ`, far from anything that the channel ever emitted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.graph.built_model import body_of
from kerasprune.graph.channels import Slice, TracedCall
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.rule import BIAS, channel_axis, find
from kerasprune.graph.walk import bodies, is_model, nodes, wiring
from kerasprune.rules.conv import TRANSPOSED
from kerasprune.surgery.constants import Emitted, constant_line, constants, emits
from kerasprune.surgery.cut import Cut


@dataclass
class Folded:
    """The folded constants.

    Args:
        biases: `{id(layer): (layer, its new bias, cut to the kept channels)}`; names may repeat in nested models.
        means: `{id(BatchNorm): (BatchNorm, its new moving mean, cut likewise)}`, after layers without a bias.
        padded: Names of layers where folding is approximate: at the border of the image, or between the strides of a
            transposed convolution.
        lost: Names of layers whose removed inputs are not constant, or that cannot hold a bias: these are dropped.
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
        """`{id(variable): value}` of the variables that existed before."""
        biases = {id(layer.bias): bias for layer, bias in self.biases.values() if layer.bias is not None}
        return biases | {id(norm.moving_mean): mean for norm, mean in self.means.values()}


def fold(cut: Cut) -> Folded:
    """Returns the biases that replace the constants of removed channels.

    Args:
        cut: The dense model's graph with a plan cut.

    Returns:
        The folded biases, and the layers in which folding is not exact.
    """
    graph, alive = cut.graph, cut.alive
    folded = Folded()
    if alive.all():
        return folded
    kept = alive | ~graph.there  # channels removed with their block emit nothing that must be replaced
    kernels: dict[int, list[Slice]] = defaultdict(list)
    for kernel in graph.kernels:
        kernels[id(kernel.owner)].append(kernel)
    deltas: dict[int, tuple[Any, np.ndarray]] = {}
    bordered: set[int] = set()
    for call, inputs in constants(cut, kept):
        layer = call.operation
        reading = [kernel for kernel in kernels[id(layer)] if kernel.reads]
        if not reading:
            continue
        delta = _bias_change(layer, reading, call, inputs, kept)
        if id(layer) in deltas and not np.allclose(deltas[id(layer)][1], delta):
            delta = np.full_like(delta, np.nan)  # a shared layer that would need two biases
        deltas[id(layer)] = layer, delta
        if any(x.bordered for x in inputs):
            bordered.add(id(layer))
    norms = following_norms(graph)
    for layer, delta in deltas.values():
        _note(folded, layer, delta, kernels[id(layer)], alive, id(layer) in bordered, norms.get(id(layer)))
    return folded


def _bias_change(
    layer: Any, reading: list[Slice], call: TracedCall, inputs: list[Emitted], alive: np.ndarray
) -> np.ndarray:
    """Returns the term that one call needs added to the bias of its layer; NaN if no bias can replace the inputs."""
    if not any(emits(x.values, ids, alive) for x, ids in zip(inputs, call.inputs, strict=True)):
        return np.zeros(1)
    if find(layer).constant != BIAS:
        return np.full(1, np.nan)  # a layer that reads through several kernels, or has a state
    return _delta(reading, constant_line(inputs[0].values, call.inputs[0], alive, channel_axis(layer)))


def _note(
    folded: Folded, layer: Any, delta: np.ndarray, kernels: list[Slice], alive: np.ndarray, bordered: bool, norm: Any
) -> None:
    """Enters the new bias of a layer, or the new mean of the BatchNorm after it, or the layer as lost."""
    if (delta == 0).all():
        folded.padded += [layer.name] * bordered  # no change but at the border
        return
    if np.isnan(delta).any() or getattr(layer, "use_bias", None) is None:
        folded.lost.append(layer.name)
        return
    out = np.resize(kernels[-1].ids[kernels[-1].makes[0]], delta.size)
    if layer.bias is None and norm is not None:
        mean = values(norm.moving_mean)
        folded.means[id(norm)] = norm, (mean - delta)[alive[out]]
    else:
        old = 0.0 if layer.bias is None else values(layer.bias)
        folded.biases[id(layer)] = layer, (old + delta)[alive[out]]
    wide = prod(getattr(layer, "kernel_size", (1,))) > 1
    between = isinstance(layer, TRANSPOSED) and (wide or prod(np.atleast_1d(layer.strides)) > 1)
    if bordered or between or wide and layer.padding != "valid":
        folded.padded.append(layer.name)


def _delta(kernels: list[Slice], constant: np.ndarray) -> np.ndarray:
    """Returns `Σ_removed Σ_taps kernel · constant` for every output of a layer, through its kernels in order."""
    for kernel in kernels:
        array = values(kernel.variable)
        spatial = tuple(range(array.ndim - 2))
        if not kernel.makes:  # the depthwise half of a separable convolution
            constant = (constant[:, None] * array.sum(axis=spatial, dtype="float64")).ravel()
            continue
        taps = np.moveaxis(array, (kernel.reads[0], kernel.makes[0]), (-2, -1))
        if spatial:
            taps = taps.sum(axis=spatial, dtype="float64")
        if isinstance(kernel.owner, TRANSPOSED):
            taps = taps / prod(np.atleast_1d(kernel.owner.strides))
        groups = constant.size // taps.shape[0]
        if groups == 1:
            constant = (constant.astype(taps.dtype) @ taps).astype("float64")
            continue
        rows = constant.reshape(groups, 1, -1)
        constant = (rows @ taps.reshape(taps.shape[0], groups, -1).transpose(1, 0, 2)).ravel()
    return constant


def following_norms(graph: ChannelGraph) -> dict[int, keras.layers.BatchNormalization]:
    """Returns `{id(layer): BatchNorm}` for layers whose linear output only that BatchNorm reads, along its axis.

    A constant to be added to such an output can be subtracted from the mean of the BatchNorm instead. Layers that are
    called several times are left out, and a BatchNorm that was removed with its block.
    """
    entered = list(bodies(body_of(graph.model)))
    wired, calls = wiring(*entered), [node for body in entered for node in nodes(body)]
    times = Counter(id(node.operation) for node in calls)
    kept = {id(call.operation) for call in graph.calls}
    found = {}
    for node in calls:
        layer, readers = node.operation, wired.readers_of(node.outputs[0])
        if is_model(layer) or len(node.outputs) > 1 or len(readers) != 1 or readers[0] is None:
            continue
        norm, rank = readers[0].operation, len(node.outputs[0].shape)
        if type(norm) is not keras.layers.BatchNormalization or id(norm) not in kept:
            continue
        linear = getattr(layer, "activation", None) is keras.activations.linear
        same_axis = norm.axis % rank == channel_axis(layer) % rank
        if linear and same_axis and times[id(layer)] == times[id(norm)] == 1:
            found[id(layer)] = norm
    return found
