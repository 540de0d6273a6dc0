"""Activations, dropout and scales: functions of every channel separately, and those that mix channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasprune._keras import CustomScaleLayer, LayerScale, nn
from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import KEEP_ITS_CHANNELS, POINTWISE, channel_axis, tensor_rule
from kerasprune.rules.probed import fault_of

DROPOUTS = (
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.AlphaDropout,
)  # fmt: skip


def biased_and_activated(graph: GraphBuilder, layer: Any, ids: np.ndarray) -> np.ndarray:
    """Returns the ids after a layer's own bias and activation along the channel axis."""
    graph.slices(layer, layer.bias, ids, role="bias")
    return apply_function(graph, layer, layer.activation, ids, graph.call.outputs[0], channel_axis(layer))


def apply_function(
    graph: GraphBuilder,
    layer: Any,
    function: Callable[[Any], Any] | None,
    ids: np.ndarray,
    shape: Sequence[int | None],
    axis: int,
) -> np.ndarray:
    """Returns the ids after a function of a layer, pinned if it does not act on every channel separately.

    Args:
        graph: The graph.
        layer: The layer.
        function: The function; `None` is the identity.
        ids: The channels.
        shape: Shape of its argument, batch first.
        axis: The axis of the channels.
    """
    fault = fault_of(function, shape, axis)
    if fault:
        graph.pin(ids, f"{layer.name!r} {fault}")
    return ids


def pin_units(graph: GraphBuilder, layer: Any, cell: Any, ids: np.ndarray) -> None:
    """Pins the units of a recurrent layer if its functions mix them, or are not zero at zero."""
    for function in (cell.activation, getattr(cell, "recurrent_activation", None)):  # SimpleRNN has one only
        apply_function(graph, layer, function, ids, (None, ids.size), 1)
    if is_nonzero_at_zero(cell.activation):
        graph.pin(ids, f"{layer.name!r} has an activation that is not zero at zero")


def is_nonzero_at_zero(function: Callable[[Any], Any] | None) -> bool:
    """Returns whether a function is not zero at zero, so that a silent recurrent unit still emits something."""
    if function is None:
        return False
    try:
        return bool(np.any(ops.convert_to_numpy(function(ops.zeros((1, 1))))))
    except Exception:  # noqa: BLE001  a user's function that cannot be tried
        return True


@tensor_rule(layers.Rescaling, constant=POINTWISE, reads=("offset", "scale"))
def rescaling(graph: GraphBuilder, layer: layers.Rescaling, x: Ids) -> Ids:
    """`scale · x + offset`; a number for every channel, as for the colours of images, pins them."""
    if np.size(layer.scale) > 1 or np.size(layer.offset) > 1:
        graph.pin_all(x, f"{layer.name!r} has a scale or an offset for each of them")
    return x


@tensor_rule(*DROPOUTS, constant=POINTWISE, reads=("noise_shape",))
def dropout(graph: GraphBuilder, layer: layers.Layer, x: Ids) -> Ids:
    """`out[c] = x[c] · m`; the channels are pinned if `noise_shape` states their number."""
    for axis, size in enumerate(layer.noise_shape or ()):
        if axis in x.axes and size not in (None, 1):
            graph.pin(x.axes[axis], f"{layer.name!r} has them in its noise_shape")
    return x


@tensor_rule(layers.Activation, constant=POINTWISE, reads=("activation",))
def activation(graph: GraphBuilder, layer: layers.Activation, x: Ids) -> Ids:
    """`out[c] = f(x[c])`, unless the function mixes channels."""
    for axis, ids in x.axes.items():
        apply_function(graph, layer, layer.activation, ids, x.shape, axis)
    return x


@tensor_rule(layers.Lambda, constant=POINTWISE, reads=("function", "output_shape", "mask", "arguments"))
def function_of_the_user(graph: GraphBuilder, layer: layers.Lambda, x: Ids) -> Ids:
    """`out[c] = f(x[c])`, if a trial shows that."""
    function = partial(layer.function, **(layer.arguments or {}))
    if not isinstance(x, Ids):
        fault = "takes several tensors"
    else:
        fault = "changes the shape" if graph.call.outputs != (x.shape,) else ""
        for axis in x.axes:
            fault = fault or fault_of(function, x.shape, axis)
    if fault:
        raise PruneError(
            f"Expected a Lambda that acts on every channel separately. Received: {layer.name!r} of class Lambda, which "
            f"{fault}. Write it with keras.ops, or as a layer class with a rule of its own, or {KEEP_ITS_CHANNELS}"
        )
    return x


@tensor_rule(layers.Softmax, nn.Softmax, nn.LogSoftmax, reads=("axis",))
def softmax(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """Normalises over some axes, whose channels are kept; those of the other axes stay separate."""
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
