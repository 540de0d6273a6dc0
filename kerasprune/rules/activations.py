"""Functions of layers: those that mix channels pin them, all others leave every channel in its lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.function_probe import fault_of
from kerasprune.graph.rule import channel_axis


def biased_and_activated(graph: GraphBuilder, layer: Any, ids: np.ndarray) -> np.ndarray:
    """Returns the ids after a layer's own bias and activation, which act on its output along the channel axis."""
    graph.slices(layer, layer.bias, ids, role="bias")
    return applied(graph, layer, layer.activation, ids, graph.call.outputs[0], channel_axis(layer))


def applied(
    graph: GraphBuilder,
    layer: Any,
    function: Callable[[Any], Any] | None,
    ids: np.ndarray,
    shape: Sequence[int | None],
    axis: int,
) -> np.ndarray:
    """Returns the ids after any function of a layer, pinned where it does not act on every channel by itself.

    Args:
        graph: The graph.
        layer: The layer.
        function: The function; `None` is the identity.
        ids: The channels.
        shape: Shape of the tensor that it is applied to, batch first.
        axis: The axis of the channels.
    """
    fault = fault_of(function, shape, axis)
    if fault:
        graph.pin(ids, f"{layer.name!r} {fault}")
    return ids


def pin_units(graph: GraphBuilder, layer: Any, cell: Any, ids: np.ndarray) -> None:
    """Pins the units of a recurrent layer that its functions mix, or that say something when they are silent."""
    for function in (cell.activation, getattr(cell, "recurrent_activation", None)):  # SimpleRNN has one only
        applied(graph, layer, function, ids, (None, ids.size), 1)
    if speaks_at_zero(cell.activation):
        graph.pin(ids, f"{layer.name!r} has an activation that is not zero at zero")


def speaks_at_zero(function: Callable[[Any], Any] | None) -> bool:
    """Returns whether a function is something else than zero at zero: what a silent unit of a recurrent layer says."""
    if function is None:
        return False
    try:
        return bool(np.any(ops.convert_to_numpy(function(ops.zeros((1, 1))))))
    except Exception:  # noqa: BLE001  the function is the user's, and pinned where it cannot be tried
        return True
