"""Zero padding: of space, or of the channel axis itself (the parameter-free shortcut of small residual networks)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Count, Ids
from kerasprune.graph.rule import PADDED, channel_axis, tensor_rule


@tensor_rule(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, constant=PADDED, reads=())
def zero_padding(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """Pads the spatial axes; an axis with channels gets new ones, which can be pruned like others."""
    pairs = np.asarray(layer.padding).reshape(-1, 2).tolist()
    return _padded(graph, layer, x, dict(enumerate(pairs, start=2 if channel_axis(layer) == 1 else 1)), "padding")


@tensor_rule(knp.Pad, constant=PADDED, reads=("pad_width", "mode"))
def pad(graph: GraphBuilder, operation: Any, x: Ids, constant_values: Any = None) -> Ids:
    """Pads as `zero_padding` does, for `keras.ops.pad`; only padding with zeros makes channels that can be pruned."""
    pairs = np.broadcast_to(np.asarray(operation.pad_width), (len(x.shape), 2)).tolist()
    out = _padded(graph, operation, x, dict(enumerate(pairs)), "pad_width")
    if operation.mode != "constant":
        whole = tuple(axis for axis in out.axes if not any(pairs[axis]))
        graph.pin_all(out, f"{operation.name!r} repeats channels", but=whole)
    elif isinstance(constant_values, Ids) or np.any(constant_values if constant_values is not None else 0):
        for tensor in (out, constant_values):
            if isinstance(tensor, Ids):
                graph.pin_all(tensor, f"{operation.name!r} pads them with other values than zero")
    return out


def _padded(graph: GraphBuilder, layer: Any, x: Ids, pairs: dict[int, list[int]], key: str) -> Ids:
    """Returns the ids with new ones around padded axes; `pairs` is `{axis: (before, after)}` in the order of `key`."""
    axes, sides = dict(x.axes), {}
    for axis, (before, after) in pairs.items():
        if axis in x.axes and (before or after):
            new = graph.new(layer, before + after, f"axis{axis}")
            sides[axis] = new[:before], new[before:]
            axes[axis] = np.concatenate([new[:before], x.axes[axis], new[before:]])

    def widths(count: Count) -> tuple:
        kept = tuple(tuple(map(count, sides[axis])) if axis in sides else tuple(p) for axis, p in pairs.items())
        return kept if len(kept) > 1 else kept[0]

    if sides:
        graph.sets(layer, key, widths)
    return Ids(graph.call.outputs[0], axes)
