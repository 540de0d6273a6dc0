"""Recurrent layers: a unit is removed from every gate, the state and the output together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from keras import layers, tree

from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids, Unknown
from kerasprune.graph.rule import KEEP_ITS_CHANNELS, SILENT, find, tensor_rule
from kerasprune.rules.activations import pin_units

_GATES = {layers.LSTMCell: 4, layers.GRUCell: 3, layers.SimpleRNNCell: 1}
_LAYERS = (layers.LSTM, layers.GRU, layers.SimpleRNN)


@dataclass(frozen=True)
class _Cell:
    """One cell of a recurrent layer.

    Args:
        cell: The cell.
        path: Place of the cell's config in the layer's; empty if the layer has the cell's arguments.
        states: Variables of a stateful layer, kept between batches.
    """

    cell: Any
    path: tuple[str | int, ...]
    states: list[Any]


@tensor_rule(*_LAYERS, constant=SILENT, reads=("cell", "units", "activation", "recurrent_activation"))
@tensor_rule(layers.RNN, constant=SILENT, reads=("cell",))
def recurrent(graph: GraphBuilder, layer: Any, x: Ids, *states: Any, initial_state: Any = ()) -> list[Ids]:
    """The kernels are `(channels, gates·units)` and `(units, gates·units)`; states have one entry per unit.

    A stacked cell reads, at every step, the output of the one before.
    """
    cells = _cells(layer)
    if cells is None:
        kind = type(getattr(layer, "cell", layer)).__name__
        raise PruneError(
            "Expected a layer of Keras's cells: LSTMCell, GRUCell, SimpleRNNCell, or several of them. Received: layer "
            f"{layer.name!r} of class {type(layer).__name__}, whose cell is a {kind}. Teach a layer of your own with "
            f"@kp.rule({type(layer).__name__}), or {KEEP_ITS_CHANNELS}"
        )
    outs = _run(graph, layer, cells, x)
    of_states = [out for each, out in zip(cells, outs, strict=True) for _ in tree.flatten(each.cell.state_size)]
    for state, out in zip(_tensors(states, initial_state), of_states, strict=False):
        graph.tie(graph.on(state, -1), out)
    first, *rest = graph.call.outputs
    made = zip((first, *rest), (outs[-1], *of_states), strict=False)
    return [Ids(shape, {len(shape) - 1: out}) for shape, out in made]


@tensor_rule(layers.Bidirectional, constant=SILENT, reads=("layer", "merge_mode", "weights", "backward_layer"))
def bidirectional(
    graph: GraphBuilder, layer: layers.Bidirectional, x: Ids, *states: Any, initial_state: Any = ()
) -> list[Ids]:
    """One layer forwards, one backwards; both lose the same units."""
    parts = ((layer.forward_layer, "layer"), (layer.backward_layer, "backward_layer"))
    cells, given, outs = [_cells(inner) for inner, _ in parts], _tensors(states, initial_state), []
    for (inner, path), each in zip(parts, cells, strict=True) if None not in cells else ():
        graph.wrapped(inner, layer, path, "config")
        outs += _run(graph, inner, each, x)
    if given or len(outs) != 2:  # whole, but counted
        reason = f"{layer.name!r} wraps a layer without a rule of its own, or is given states"
        for tensor in (x, *given):
            graph.pin_all(tensor, reason)
        for out in outs:
            graph.pin(out, reason)
        if None in cells:
            graph.unknown.append(Unknown(graph.call.node.operation.name, type(layer).__name__))
        return [Ids(shape) for shape in graph.call.outputs]
    merged = np.concatenate(outs) if layer.merge_mode == "concat" else outs[0]
    graph.tie(*outs)  # the layer wants both directions equally wide
    shapes = graph.call.outputs
    main = [merged] if layer.merge_mode is not None else outs
    per_direction = (len(shapes) - len(main)) // 2
    ids = [*main, *[outs[0]] * per_direction, *[outs[1]] * per_direction]
    return [Ids(shape, {len(shape) - 1: each}) for shape, each in zip(shapes, ids, strict=True)]


def _cells(layer: Any) -> list[_Cell] | None:
    """Returns the cells of a recurrent layer in order, or `None` if one is unknown."""
    if not isinstance(layer, layers.RNN) or find(layer) is None:
        return None
    states = list(layer.states or ())
    if isinstance(layer, _LAYERS):
        return [_Cell(layer.cell, (), states)] if isinstance(layer.cell, tuple(_GATES)) else None
    found = [_Cell(layer.cell, ("cell", "config"), states)]
    if type(layer.cell) is layers.StackedRNNCells:
        found = [
            _Cell(cell, ("cell", "config", "cells", index, "config"), tree.flatten(states[index : index + 1]))
            for index, cell in enumerate(layer.cell.cells)
        ]
    return found if all(type(each.cell) in _GATES for each in found) else None


def _tensors(*arguments: Any) -> list[Ids]:
    return [x for x in tree.flatten(arguments) if isinstance(x, Ids)]


def _run(graph: GraphBuilder, layer: Any, cells: Sequence[_Cell], x: Ids) -> list[np.ndarray]:
    """Returns the units of every cell, which reads `x` or the output of the one before."""
    outs = []
    for number, each in enumerate(cells, 1):
        out = graph.new(layer, each.cell.units, "" if number == len(cells) else f"cell_{number}")
        _cell(graph, layer, each, x, out)
        if each.path:
            graph.wrapped(each.cell, layer, *each.path)
        graph.sets(each.cell if each.path else layer, "units", out)
        outs.append(out)
        x = Ids((*x.shape[:-1], out.size), {len(x.shape) - 1: out})
    return outs


def _cell(graph: GraphBuilder, layer: Any, each: _Cell, x: Ids, out: np.ndarray) -> None:
    cell = each.cell
    gates = next(gates for kind, gates in _GATES.items() if isinstance(cell, kind))
    pin_units(graph, layer, cell, out)
    if type(cell) not in _GATES:
        graph.pin(out, f"{layer.name!r} has a cell of its own class {type(cell).__name__}")
    graph.pin_all(x, f"{layer.name!r} runs along that axis", but=(len(x.shape) - 1,))
    _gated(graph, layer, cell, graph.on(x, -1), np.tile(out, gates), x.shape[1])
    for state in each.states:
        graph.slices(layer, state, None, out)


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
    pin_units(graph, layer, cell, out)
    shape = graph.call.outputs[0]
    sides = shape[-cell.rank :] if first else shape[-1 - cell.rank : -1]
    positions = None if None in (x.shape[1], *sides) else x.shape[1] * prod(sides)
    _gated(graph, layer, cell, graph.on(x, axis), np.tile(out, 4), positions)
    graph.sets(layer, "filters", out)
    return [Ids(shape, {len(shape) - 1 - cell.rank if first else len(shape) - 1: out}) for shape in graph.call.outputs]


def _gated(graph: GraphBuilder, layer: Any, cell: Any, x: np.ndarray, gated: np.ndarray, positions: int | None) -> None:
    """Both kernels of a cell, which make the gates of its units one after the other, and their biases."""
    rank = len(cell.kernel.shape) - 2  # of space
    out = gated[: cell.recurrent_kernel.shape[rank]]
    for kernel, read in ((cell.kernel, x), (cell.recurrent_kernel, out)):
        ids = (*(None,) * rank, read, gated)
        graph.kernel(layer, kernel, *ids, reads=(rank,), makes=(rank + 1,), positions=positions)
    if cell.bias is not None:
        rows = (None,) * (len(cell.bias.shape) - 1)  # GRU with reset_after has two rows of biases
        graph.slices(layer, cell.bias, *rows, gated, role="bias", makes=(len(rows),))
