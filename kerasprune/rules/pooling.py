"""Pooling, cropping, upsampling, reductions over space: channels pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.channels import Ids
from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.rule import CARRIED, channel_axis, named, tensor_rule


@tensor_rule(
    *named("pooling", layers),
    nn.MaxPool,
    nn.AveragePool,
    constant=CARRIED,
    reads=("cropping", "factor", "height", "keepdims", "output_size", "size", "width"),
)
def spatial(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """Every channel by itself."""
    shape = graph.call.outputs[0]
    before = 1 if channel_axis(layer) == 1 else len(x.shape) - 1
    after = 1 if channel_axis(layer) == 1 else len(shape) - 1
    graph.pin_all(x, f"{layer.name!r} moves a window over that axis", but=(before,))
    return Ids(shape, {after: x.axes[before]} if before in x.axes else {})


@tensor_rule(*named("pooling", knp), reads=("axis", "keepdims"))
def reduction(graph: GraphBuilder, operation: Any, x: Ids, initial: Any = None) -> Ids:
    """Channels on the other axes keep their lanes."""
    rank = len(x.shape)
    removed = set(range(rank)) if operation.axis is None else {int(a) % rank for a in np.atleast_1d(operation.axis)}
    graph.pin_all(x, f"{operation.name!r} reduces over the channels", but=tuple(a for a in x.axes if a not in removed))
    if 0 in removed:
        graph.pin_all(x, f"{operation.name!r} reduces over the batch")
    left = {a: ids for a, ids in x.axes.items() if a not in removed}
    if not getattr(operation, "keepdims", False):  # CountNonzero has none
        left = {a - sum(g < a for g in removed): ids for a, ids in left.items()}
    return Ids(graph.call.outputs[0], left)
