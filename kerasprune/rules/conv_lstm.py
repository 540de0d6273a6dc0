"""Recurrent convolutions: filters go from every gate, from the state and from the output at once."""

from __future__ import annotations

from math import prod

import numpy as np
from keras import layers

from kerasprune.graph.channels import Ids
from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.rule import SILENT, tensor_rule
from kerasprune.rules.activations import applied, speaks_at_zero

_GATES = 4


@tensor_rule(
    layers.ConvLSTM1D,
    layers.ConvLSTM2D,
    layers.ConvLSTM3D,
    constant=SILENT,
    reads=("activation", "cell", "filters", "recurrent_activation"),
)
def conv_lstm(graph: GraphBuilder, layer: layers.Layer, x: Ids) -> list[Ids]:
    """As an LSTM, with convolutions: kernels are `(…, channels, 4·filters)` and `(…, filters, 4·filters)`."""
    cell, first = layer.cell, layer.cell.data_format == "channels_first"
    axis = 2 if first else len(x.shape) - 1
    graph.pin_all(x, f"{layer.name!r} runs along that axis", but=(axis,))
    out = graph.new(layer, cell.filters)
    for function in (cell.activation, cell.recurrent_activation):
        applied(graph, layer, function, out, (None, out.size), 1)
    if speaks_at_zero(cell.activation):
        graph.pin(out, f"{layer.name!r} has an activation that is not zero at zero")
    gated, spatial = np.tile(out, _GATES), (None,) * cell.rank
    shape = graph.call.outputs[0]
    sides = [shape[a] for a in range(len(shape))][-cell.rank :] if first else shape[-1 - cell.rank : -1]
    positions = None if None in (x.shape[1], *sides) else x.shape[1] * prod(sides)
    read, made = (cell.rank,), (cell.rank + 1,)
    for kernel, ids in ((cell.kernel, graph.on(x, axis)), (cell.recurrent_kernel, out)):
        graph.kernel(layer, kernel, *spatial, ids, gated, reads=read, makes=made, positions=positions)
    graph.slices(layer, cell.bias, gated, role="bias", makes=(0,))
    graph.sets(layer, "filters", out)
    return [Ids(shape, {len(shape) - 1 - cell.rank if first else len(shape) - 1: out}) for shape in graph.call.outputs]
