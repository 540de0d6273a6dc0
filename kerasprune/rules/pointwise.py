"""Layers and operations that keep the shape and leave every channel in its lane share one line."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import CustomScaleLayer, LayerScale, StochasticDepth, TFDIdentity, core, nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.errors import PruneError
from kerasprune.graph.channels import Ids
from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.function_probe import fault_of
from kerasprune.graph.rule import KEEP_ITS_CHANNELS, POINTWISE, named, tensor_rule
from kerasprune.rules.activations import applied

_LAYERS = (
    layers.ReLU, layers.LeakyReLU, layers.ELU, layers.GaussianDropout, layers.GaussianNoise,
    layers.ActivityRegularization, layers.Identity, TFDIdentity, StochasticDepth,
)  # fmt: skip
DROPOUTS = (
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.AlphaDropout,
)  # fmt: skip
_MIXING = (nn.Softmax, nn.LogSoftmax)
_OPERATIONS = [
    each for module in (knp, nn, core) for each in named("pointwise", module) if each not in (layers.Softmax, *_MIXING)
]


@tensor_rule(*_LAYERS, *_OPERATIONS, constant=POINTWISE, reads=())
def pointwise(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """`out[c] = f(x[c])`."""
    return x


@tensor_rule(layers.Rescaling, constant=POINTWISE, reads=("offset", "scale"))
def rescaling(graph: GraphBuilder, layer: layers.Rescaling, x: Ids) -> Ids:
    """`scale · x + offset`; one number for every channel, as for the colours of images, keeps them."""
    if np.size(layer.scale) > 1 or np.size(layer.offset) > 1:
        graph.pin_all(x, f"{layer.name!r} has a scale or an offset for each of them")
    return x


@tensor_rule(*DROPOUTS, constant=POINTWISE, reads=("noise_shape",))
def dropout(graph: GraphBuilder, layer: layers.Layer, x: Ids) -> Ids:
    """`out[c] = x[c] · m`; a mask whose shape holds the number of channels keeps them."""
    for axis, size in enumerate(layer.noise_shape or ()):
        if axis in x.axes and size not in (None, 1):
            graph.pin(x.axes[axis], f"{layer.name!r} has them in its noise_shape")
    return x


@tensor_rule(layers.Activation, constant=POINTWISE, reads=("activation",))
def activation(graph: GraphBuilder, layer: layers.Activation, x: Ids) -> Ids:
    """`out[c] = f(x[c])`, unless the function mixes channels."""
    for axis, ids in x.axes.items():
        applied(graph, layer, layer.activation, ids, x.shape, axis)
    return x


@tensor_rule(layers.Lambda, constant=POINTWISE, reads=("function", "output_shape", "mask", "arguments"))
def function_of_the_user(graph: GraphBuilder, layer: layers.Lambda, x: Ids) -> Ids:
    """`out[c] = f(x[c])`, where trying shows that; any other function may do anything."""
    function = partial(layer.function, **(layer.arguments or {}))
    if not isinstance(x, Ids):
        fault = "takes several tensors"
    else:
        fault = "changes the shape" if graph.call.outputs != (x.shape,) else ""
        for axis in x.axes:
            fault = fault or fault_of(function, x.shape, axis)
    if fault:
        raise PruneError(
            f"Expected a Lambda that acts on every channel by itself. Received: {layer.name!r} of class Lambda, which "
            f"{fault}. A function may do anything: write it with keras.ops, or as a layer class with a rule of its "
            f"own, or {KEEP_ITS_CHANNELS}"
        )
    return x


@tensor_rule(layers.Softmax, *_MIXING, reads=("axis",))
def softmax(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Normalises over an axis: channels on it stay, channels on the others keep their lanes."""
    mixed = (np.atleast_1d(operation.axis) % len(x.shape)).tolist()
    if 0 in mixed:
        graph.pin_all(x, f"{operation.name!r} normalises over the batch")
    for axis in mixed:
        if axis in x.axes:
            graph.pin(x.axes[axis], f"{operation.name!r} normalises over the channels")
    return x


@tensor_rule(layers.PReLU, constant=POINTWISE, reads=("shared_axes",))
def prelu(graph: GraphBuilder, layer: layers.PReLU, x: Ids) -> Ids:
    """`max(0, x) + α min(0, x)`, α shared over the axes in `shared_axes`."""
    shared = {axis % len(x.shape) for axis in layer.shared_axes or ()}
    ids = [None if axis in shared else x.axes.get(axis) for axis in range(1, len(x.shape))]
    graph.slices(layer, layer.alpha, *ids)
    return x


@tensor_rule(CustomScaleLayer, constant=POINTWISE, reads=())
def scaled_sum(graph: GraphBuilder, layer: keras.layers.Layer, inputs: list[Ids]) -> Ids:
    """`x + scale · branch` (InceptionResNetV2)."""
    graph.merge(*(graph.on(x, -1) for x in inputs))
    return inputs[0]


@tensor_rule(LayerScale, constant=POINTWISE, reads=("projection_dim",))
def layer_scale(graph: GraphBuilder, layer: LayerScale, x: Ids) -> Ids:
    """`γ[c] · x[c]` (ConvNeXt)."""
    ids = graph.on(x, -1)
    graph.slices(layer, layer.gamma, ids, role="scale")
    graph.sets(layer, "projection_dim", ids)
    return Ids(x.shape, {**x.axes, len(x.shape) - 1: ids})
