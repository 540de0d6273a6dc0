"""Layers and operations that keep the shape and leave every channel in its lane share one line."""

from __future__ import annotations

from typing import Any

from keras import layers

from kerasprune._keras import core, nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import POINTWISE, tensor_rule
from kerasprune.rules.activations import activate

_LAYERS = (
    layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Rescaling, layers.Dropout, layers.SpatialDropout1D,
    layers.SpatialDropout2D, layers.SpatialDropout3D, layers.GaussianDropout, layers.GaussianNoise,
    layers.AlphaDropout, layers.ActivityRegularization, layers.Identity,
)  # fmt: skip
_OPERATIONS = tuple(
    getattr(knp, name)
    for name in (
        "Absolute", "Arctan", "Clip", "Copy", "Cos", "Exp", "Expm1", "Log", "Log1p", "Negative", "Reciprocal",
        "Round", "Sign", "Sin", "Sqrt", "Square", "Tanh",
    )
) + tuple(
    getattr(nn, name)
    for name in (
        "Relu", "Relu6", "Sigmoid", "Softplus", "Softsign", "SoftShrink", "Silu", "Squareplus", "LogSigmoid",
        "LeakyRelu", "HardSigmoid", "HardSilu", "Elu", "Selu", "Gelu", "Celu", "TanhShrink", "HardTanh",
        "HardShrink", "Threshold",
    )
) + (core.Cast, core.StopGradient)  # fmt: skip


@tensor_rule(*_LAYERS, *_OPERATIONS, constant=POINTWISE)
def pointwise(graph: GraphBuilder, operation: Any, x: Ids, *args: Any, **kwargs: Any) -> Ids:
    """`out[c] = f(x[c])`."""
    return x


@tensor_rule(layers.Activation, constant=POINTWISE)
def activation(graph: GraphBuilder, layer: layers.Activation, x: Ids) -> Ids:
    """`out[c] = f(x[c])`, unless the function mixes channels."""
    for ids in x.axes.values():
        activate(graph, layer, ids)
    return x


@tensor_rule(layers.Softmax, nn.Softmax, nn.LogSoftmax)
def softmax(graph: GraphBuilder, operation: Any, x: Ids, *args: Any, **kwargs: Any) -> Ids:
    """Normalises over an axis: channels on it stay, channels on the others keep their lanes."""
    axes = operation.axis if isinstance(operation.axis, list | tuple) else [operation.axis]
    mixed = [axis % len(x.shape) for axis in axes]
    for axis in mixed:
        if axis in x.axes:
            graph.pin(x.axes[axis], f"{operation.name!r} normalises over the channels")
    return x


@tensor_rule(layers.PReLU, constant=POINTWISE)
def prelu(graph: GraphBuilder, layer: layers.PReLU, x: Ids) -> Ids:
    """`max(0, x) + α min(0, x)`, α shared over the axes in `shared_axes`."""
    shared = {axis % len(x.shape) for axis in layer.shared_axes or ()}
    ids = [None if axis in shared else x.axes.get(axis) for axis in range(1, len(x.shape))]
    graph.slices(layer, layer.alpha, *ids)
    return x
