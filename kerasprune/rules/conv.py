"""Convolutions: plain, grouped, depthwise, separable and transposed, in one to three dimensions."""

from __future__ import annotations

import numpy as np
from keras import layers

from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.rule import BIAS, channel_axis, rule
from kerasprune.rules.activations import activate


@rule(layers.Conv1D, layers.Conv2D, layers.Conv3D, constant=BIAS, reads=("filters", "groups", "activation"))
def conv(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """`out[f] = Σ_c kernel[…, c, f] * x[c] + bias[f]`."""
    spatial = (None,) * layer.rank
    if 1 < layer.groups == x.size == layer.filters:
        return _lanes(graph, layer, x, spatial)
    out = graph.new(layer, layer.filters)
    read = x
    if layer.groups > 1:
        read = _same_in_every_group(graph, x, layer.groups)
        _same_in_every_group(graph, out, layer.groups)
    positions = graph.positions(graph.call.outputs[0], channel_axis(layer))
    axis = layer.rank
    graph.kernel(layer, layer.kernel, *spatial, read, out, reads=(axis,), makes=(axis + 1,), positions=positions)
    graph.slices(layer, layer.bias, out, role="bias")
    graph.sets(layer, "filters", out)
    return activate(graph, layer, out)


def _lanes(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray, spatial: tuple) -> np.ndarray:
    """As many groups as channels: every channel stays in its lane, as in a depthwise convolution."""
    positions = graph.positions(graph.call.outputs[0], channel_axis(layer))
    graph.kernel(layer, layer.kernel, *spatial, None, x, makes=(layer.rank + 1,), positions=positions)
    graph.slices(layer, layer.bias, x, role="bias")
    graph.sets(layer, "filters", x)
    graph.sets(layer, "groups", x)
    return activate(graph, layer, x)


def _same_in_every_group(graph: GraphBuilder, ids: np.ndarray, groups: int) -> np.ndarray:
    """Ties the same positions of every group, so that all groups lose equally many; returns the first group's."""
    return graph.tie(*ids.reshape(groups, -1))


@rule(layers.DepthwiseConv1D, layers.DepthwiseConv2D, constant=BIAS, reads=("depth_multiplier", "activation"))
def depthwise_conv(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """`out[c·m + k] = kernel[…, c, k] * x[c] + bias[c·m + k]`, m the depth multiplier."""
    spatial = (None,) * layer.rank
    positions = graph.positions(graph.call.outputs[0], channel_axis(layer))
    out = np.repeat(x, layer.depth_multiplier)
    graph.kernel(layer, layer.kernel, *spatial, x, None, makes=(layer.rank,), positions=positions)
    graph.slices(layer, layer.bias, out, role="bias")
    return activate(graph, layer, out)


@rule(
    layers.SeparableConv1D, layers.SeparableConv2D, constant=BIAS, reads=("filters", "depth_multiplier", "activation")
)
def separable_conv(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """A depthwise convolution, then a 1×1 convolution."""
    spatial = (None,) * layer.rank
    positions = graph.positions(graph.call.outputs[0], channel_axis(layer))
    axis = layer.rank
    out = graph.new(layer, layer.filters)
    inner = np.repeat(x, layer.depth_multiplier)
    graph.kernel(layer, layer.depthwise_kernel, *spatial, x, None, reads=(axis,), positions=positions)
    graph.kernel(
        layer,
        layer.pointwise_kernel,
        *spatial,
        inner,
        out,
        reads=(axis,),
        makes=(axis + 1,),
        positions=positions,
    )
    graph.slices(layer, layer.bias, out, role="bias")
    graph.sets(layer, "filters", out)
    return activate(graph, layer, out)


@rule(
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    constant=BIAS,
    reads=("filters", "activation"),
)
def conv_transpose(graph: GraphBuilder, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """The transpose of a convolution: its kernel is `(…, out, in)` and is applied once per *input* position."""
    spatial = (None,) * layer.rank
    out = graph.new(layer, layer.filters)
    positions = graph.positions(graph.call.inputs[0], channel_axis(layer))
    axis = layer.rank
    graph.kernel(layer, layer.kernel, *spatial, out, x, reads=(axis + 1,), makes=(axis,), positions=positions)
    graph.slices(layer, layer.bias, out, role="bias")
    graph.sets(layer, "filters", out)
    return activate(graph, layer, out)
