"""Absorption: the constant that a removed channel still emits is folded into its consumers.

A channel whose kernels are zero still emits its bias, or the β of its BatchNorm, through the activation: the same
number at every position. For a consumer that is `bias += Σ_removed Σ_taps kernel · constant`, exact wherever all taps
lie inside the image, that is everywhere but at the border of padded convolutions. A consumer without a bias, in front
of a BatchNorm, needs none: `μ −= …` there does the same. β is also the mean of what the BatchNorm emitted before. With
its old statistics a kernel at zero would come out as `β − γ μ / σ`, far from anything that the channel ever emitted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.graph.built_model import functional
from kerasprune.graph.channels import Slice, TracedCall
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.rule import BIAS, channel_axis, find
from kerasprune.graph.walk import bodies, is_model, nodes, wiring
from kerasprune.rules.conv import TRANSPOSED
from kerasprune.surgery.applied_plan import AppliedPlan
from kerasprune.surgery.constants import Emitted, constant_line, constants, emits


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


def fold(applied: AppliedPlan) -> Folded:
    """Returns the biases that make up for the removed channels.

    Args:
        applied: The dense model's graph with a plan applied.

    Returns:
        The folded biases, and where folding is not exact.
    """
    graph, alive = applied.graph, applied.alive
    folded = Folded()
    if alive.all():
        return folded
    stays = alive | ~graph.there  # what went with its block emits nothing that had to be made up for
    kernels: dict[int, list[Slice]] = {}
    for kernel in graph.kernels:
        kernels.setdefault(id(kernel.owner), []).append(kernel)
    deltas: dict[int, tuple[Any, np.ndarray]] = {}
    bordered: set[int] = set()
    for call, inputs in constants(applied, stays):
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


def _asked(layer: Any, reading: list[Slice], call: TracedCall, inputs: list[Emitted], alive: np.ndarray) -> np.ndarray:
    """Returns what one call asks to be added to a layer's bias; NaN where no bias can make up for it."""
    if not any(emits(x.values, ids, alive) for x, ids in zip(inputs, call.inputs, strict=True)):
        return np.zeros(1)
    if find(layer).constant != BIAS:
        return np.full(1, np.nan)  # a layer that reads through several kernels, or keeps a state
    return _delta(reading, constant_line(inputs[0].values, call.inputs[0], alive, channel_axis(layer)))


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
        if not kernel.makes:  # the depthwise half of a separable convolution
            taps = array.sum(axis=tuple(range(array.ndim - 2)), dtype="float64")
            constant = (constant[:, None] * taps).ravel()
            continue
        axes = kernel.reads[0], kernel.makes[0]
        taps = np.moveaxis(array, axes, (-2, -1))
        if array.ndim > 2:
            taps = taps.sum(axis=tuple(range(array.ndim - 2)), dtype="float64")
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
    """Returns `{id(layer): BatchNorm}` for layers whose linear output goes to that BatchNorm alone, along its axis.

    A constant that is to be added to such an output may as well be taken from the BatchNorm's mean. Layers that are
    called several times are left out, and a BatchNorm that went with its block.

    Args:
        graph: The graph, without the blocks that are dropped.
    """
    entered = list(bodies(functional(graph.model)))
    wired, calls = wiring(*entered), [node for body in entered for node in nodes(body)]
    times = Counter(id(node.operation) for node in calls)
    there = {id(call.operation) for call in graph.calls}
    found = {}
    for node in calls:
        layer, output = node.operation, node.outputs[0]
        readers = wired.readers_of(output)
        if is_model(layer) or len(node.outputs) > 1 or len(readers) != 1 or readers[0] is None:
            continue
        norm = readers[0].operation
        if type(norm) is not keras.layers.BatchNormalization or id(norm) not in there:
            continue
        linear = getattr(layer, "activation", None) is keras.activations.linear
        rank = len(output.shape)
        along = norm.axis % rank == channel_axis(layer) % rank
        if linear and along and times[id(layer)] == times[id(norm)] == 1:
            found[id(layer)] = norm
    return found
