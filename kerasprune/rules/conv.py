"""Convolutions: plain, grouped, depthwise, separable and transposed, in one to three dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.rule import BIAS, channel_axis, rule
from kerasprune.rules.activations import biased_and_activated


@rule(layers.Conv1D, layers.Conv2D, layers.Conv3D, constant=BIAS, reads=("filters", "groups", "activation"))
def conv(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """`out[f] = Σ_c kernel[…, c, f] * x[c] + bias[f]`."""
    if 1 < layer.groups == x.size == layer.filters:
        return _channel_by_channel(graph, layer, x)
    out = graph.new(layer, layer.filters)
    read = x
    if layer.groups > 1:
        read = _same_in_every_group(graph, x, layer.groups)
        _same_in_every_group(graph, out, layer.groups)
    _kernel(graph, layer, layer.kernel, read, out, reads=(0,), makes=(1,))
    graph.sets(layer, "filters", out)
    return biased_and_activated(graph, layer, out)


def _channel_by_channel(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """As many groups as channels: every channel is convolved separately, as in a depthwise convolution."""
    _kernel(graph, layer, layer.kernel, None, x, makes=(1,))
    graph.sets(layer, "filters", x)
    graph.sets(layer, "groups", x)
    return biased_and_activated(graph, layer, x)


def _same_in_every_group(graph: GraphBuilder, ids: np.ndarray, groups: int) -> np.ndarray:
    """Ties the same positions of every group, so that all groups lose as many; returns those of the first."""
    return graph.tie(*ids.reshape(groups, -1))


@rule(layers.DepthwiseConv1D, layers.DepthwiseConv2D, constant=BIAS, reads=("depth_multiplier", "activation"))
def depthwise_conv(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """`out[c·m + k] = kernel[…, c, k] * x[c] + bias[c·m + k]`, m the depth multiplier."""
    _kernel(graph, layer, layer.kernel, x, None, makes=(0,))
    return biased_and_activated(graph, layer, np.repeat(x, layer.depth_multiplier))


@rule(
    layers.SeparableConv1D, layers.SeparableConv2D, constant=BIAS, reads=("filters", "depth_multiplier", "activation")
)
def separable_conv(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """A depthwise convolution, then a 1×1 convolution."""
    out = graph.new(layer, layer.filters)
    inner = np.repeat(x, layer.depth_multiplier)
    _kernel(graph, layer, layer.depthwise_kernel, x, None, reads=(0,))
    _kernel(graph, layer, layer.pointwise_kernel, inner, out, reads=(0,), makes=(1,))
    graph.sets(layer, "filters", out)
    return biased_and_activated(graph, layer, out)


TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


@rule(*TRANSPOSED, constant=BIAS, reads=("filters", "activation"))
def conv_transpose(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """The transpose of a convolution: its kernel is `(…, out, in)` and is applied once per *input* position."""
    out = graph.new(layer, layer.filters)
    _kernel(graph, layer, layer.kernel, out, x, reads=(1,), makes=(0,), applied_to=graph.call.inputs[0])
    graph.sets(layer, "filters", out)
    return biased_and_activated(graph, layer, out)


def _kernel(
    graph: GraphBuilder,
    layer: Any,
    variable: Any,
    *ids: np.ndarray | None,
    reads: tuple[int, ...] = (),
    makes: tuple[int, ...] = (),
    applied_to: tuple[int | None, ...] | None = None,
) -> None:
    """A kernel with two axes after the spatial ones, from the first of which `reads` and `makes` count.

    It is applied once per position of the output, or of the shape `applied_to`.
    """
    rank = layer.rank
    reads, makes = (tuple(rank + axis for axis in axes) for axes in (reads, makes))
    positions = graph.positions(applied_to or graph.call.outputs[0], channel_axis(layer))
    graph.kernel(layer, variable, *(None,) * rank, *ids, reads=reads, makes=makes, positions=positions)
