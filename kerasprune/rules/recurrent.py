"""Recurrent layers: units go from every gate, from the state and from the output at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, tree

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, find, tensor_rule
from kerasprune.rules.activations import applied, speaks_at_zero

_CELLS = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)
_GATES = {layers.LSTM: 4, layers.GRU: 3, layers.SimpleRNN: 1}


@tensor_rule(*_GATES, constant=SILENT, reads=("cell", "units", "activation", "recurrent_activation"))
def recurrent(graph: GraphBuilder, layer: Any, x: Ids, *states: Any, initial_state: Any = ()) -> list[Ids]:
    """The kernels are `(channels, gates·units)` and `(units, gates·units)`; states have one entry per unit."""
    out = graph.new(layer, layer.units)
    _cell(graph, layer, layer.cell, x, out, _gates(layer))
    for state in _tensors(states, initial_state):
        graph.tie(graph.on(state, -1), out)
    graph.sets(layer, "units", out)
    return [Ids(shape, {len(shape) - 1: out}) for shape in graph.call.outputs]


@tensor_rule(layers.Bidirectional, constant=SILENT, reads=("layer", "merge_mode", "weights", "backward_layer"))
def bidirectional(
    graph: GraphBuilder, layer: layers.Bidirectional, x: Ids, *states: Any, initial_state: Any = ()
) -> list[Ids]:
    """One layer forwards, one backwards; they lose the same units."""
    outs = []
    for inner, path in ((layer.forward_layer, "layer"), (layer.backward_layer, "backward_layer")):
        if _gates(inner) is None or _tensors(states, initial_state):
            for tensor in (x, *_tensors(states, initial_state)):
                graph.pin_all(tensor, f"{layer.name!r} wraps a layer without a rule of its own, or is given states")
            return [Ids(shape) for shape in graph.call.outputs]
        graph.wrapped(inner, layer, path, "config")
        outs.append(graph.new(inner, inner.units))
        _cell(graph, inner, inner.cell, x, outs[-1], _gates(inner))
        graph.sets(inner, "units", outs[-1])
    merged = np.concatenate(outs) if layer.merge_mode == "concat" else outs[0]
    graph.tie(*outs)  # the layer wants both directions equally wide
    shapes = graph.call.outputs
    main = [merged] if layer.merge_mode is not None else outs
    per_direction = (len(shapes) - len(main)) // 2
    ids = [*main, *[outs[0]] * per_direction, *[outs[1]] * per_direction]
    return [Ids(shape, {len(shape) - 1: each}) for shape, each in zip(shapes, ids, strict=True)]


def _gates(layer: Any) -> int | None:
    """Returns the number of gates of a recurrent layer, or `None` where it is none that is known."""
    return next((gates for kind, gates in _GATES.items() if isinstance(layer, kind) and find(layer)), None)


def _tensors(*arguments: Any) -> list[Ids]:
    return [x for x in tree.flatten(arguments) if isinstance(x, Ids)]


def _cell(graph: GraphBuilder, layer: Any, cell: Any, x: Ids, out: np.ndarray, gates: int) -> None:
    for function in (cell.activation, getattr(cell, "recurrent_activation", None)):  # SimpleRNN has one only
        applied(graph, layer, function, out, (None, out.size), 1)
    if speaks_at_zero(cell.activation):  # what a silent unit would say
        graph.pin(out, f"{layer.name!r} has an activation that is not zero at zero")
    if type(cell) not in _CELLS:
        graph.pin(out, f"{layer.name!r} has a cell of its own class {type(cell).__name__}")
    graph.pin_all(x, f"{layer.name!r} runs along that axis", but=(len(x.shape) - 1,))
    gated = np.tile(out, gates)
    steps = x.shape[1]
    graph.kernel(layer, cell.kernel, graph.on(x, -1), gated, reads=(0,), makes=(1,), positions=steps)
    graph.kernel(layer, cell.recurrent_kernel, out, gated, reads=(0,), makes=(1,), positions=steps)
    for state in tree.flatten(layer.states or ()):  # of a stateful layer, kept between batches
        graph.slices(layer, state, None, out)
    if cell.bias is not None:
        rows = (None,) * (len(cell.bias.shape) - 1)  # GRU with reset_after has two rows of biases
        graph.slices(layer, cell.bias, *rows, gated, role="bias", makes=(len(rows),))
