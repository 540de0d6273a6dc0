"""Zero padding: of space, or of the channel axis itself (the parameter-free shortcut of small residual networks)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.channels import Count, Ids
from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.rule import PADDED, channel_axis, tensor_rule


@tensor_rule(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, constant=PADDED, reads=())
def zero_padding(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """Pads the spatial axes; one that carries channels gets new ones, which can be dropped like others."""
    pairs = np.asarray(layer.padding).reshape(-1, 2).tolist()
    begin = 2 if channel_axis(layer) == 1 else 1
    widths = {axis: pair for axis, pair in enumerate(pairs, start=begin) if axis in x.axes and any(pair)}
    out, sides = _padded(graph, layer, x, widths)

    def padding(count: Count) -> tuple:
        kept = tuple(tuple(sides[a](count)) if a in sides else tuple(p) for a, p in enumerate(pairs, start=begin))
        return kept if len(kept) > 1 else kept[0]

    if sides:
        graph.sets(layer, "padding", padding)
    return out


@tensor_rule(knp.Pad, constant=PADDED, reads=("pad_width", "mode"))
def pad(graph: GraphBuilder, operation: Any, x: Ids, constant_values: Any = None) -> Ids:
    """As `zero_padding`, for `keras.ops.pad`; only zeros make channels that can be dropped."""
    pairs = np.broadcast_to(np.asarray(operation.pad_width), (len(x.shape), 2)).tolist()
    widths = {axis: pair for axis, pair in enumerate(pairs) if axis in x.axes and any(pair)}
    out, sides = _padded(graph, operation, x, widths)
    if operation.mode != "constant":
        graph.pin_all(out, f"{operation.name!r} repeats channels", but=tuple(out.axes.keys() - widths.keys()))
    elif isinstance(constant_values, Ids) or np.any(constant_values if constant_values is not None else 0):
        for tensor in (out, constant_values):
            if isinstance(tensor, Ids):
                graph.pin_all(tensor, f"{operation.name!r} pads with other values than zero")

    def pad_width(count: Count) -> tuple:
        return tuple(tuple(sides[axis](count)) if axis in sides else tuple(p) for axis, p in enumerate(pairs))

    if sides:
        graph.sets(operation, "pad_width", pad_width)
    return out


def _padded(graph: GraphBuilder, layer: Any, x: Ids, widths: dict[int, list[int]]) -> tuple[Ids, dict[int, Any]]:
    """Returns the ids with new ones around the padded axes, and how many stay on each side as `count -> pair`."""
    axes, sides = dict(x.axes), {}
    for axis, (before, after) in widths.items():
        new = graph.new(layer, before + after, f"axis{axis}")
        left, right = new[:before], new[before:]
        axes[axis] = np.concatenate([left, x.axes[axis], right])
        sides[axis] = lambda count, left=left, right=right: (count(left), count(right))
    return Ids(graph.call.outputs[0], axes), sides
