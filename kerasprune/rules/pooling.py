"""Pooling, cropping, upsampling, reductions over space: channels stay separate."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import making_node, nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import CARRIED, channel_axis, classes_of_module, tensor_rule


@tensor_rule(
    *classes_of_module("pooling", layers),
    nn.MaxPool,
    nn.AveragePool,
    constant=CARRIED,
    reads=("cropping", "factor", "height", "keepdims", "output_size", "size", "width"),
)
def spatial(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """Pools every channel separately."""
    shape = graph.call.outputs[0]
    before = 1 if channel_axis(layer) == 1 else len(x.shape) - 1
    after = 1 if channel_axis(layer) == 1 else len(shape) - 1
    graph.pin_all(x, f"{layer.name!r} moves a window over that axis", but=(before,))
    if getattr(layer, "pad_to_aspect_ratio", False):
        graph.emits([after])  # a border of fill_value is no constant at all positions
    return x.moved(shape, [before if axis == after else None for axis in range(len(shape))])


@tensor_rule(*classes_of_module("pooling", knp), reads=("axis", "keepdims"))
def reduction(graph: GraphBuilder, operation: Any, x: Ids, initial: Any = None) -> Ids:
    """Reduces some axes; channels on the other axes stay separate. The largest of any number of ones is one."""
    rank = len(x.shape)
    removed = set(range(rank)) if operation.axis is None else {int(a) % rank for a in np.atleast_1d(operation.axis)}
    order = [None if axis in removed else axis for axis in range(rank)]
    of_ones = isinstance(making_node(graph.call.node.input_tensors[0]).operation, knp.OnesLike)
    mixes = not (of_ones and isinstance(operation, knp.Max))
    if mixes:
        graph.pin_all(x, f"{operation.name!r} reduces over the channels", but=order)
    if mixes and 0 in removed:
        graph.pin_all(x, f"{operation.name!r} reduces over the batch")
    if not getattr(operation, "keepdims", False):  # CountNonzero has none
        order = [axis for axis in order if axis is not None]
    return x.moved(graph.call.outputs[0], order)
