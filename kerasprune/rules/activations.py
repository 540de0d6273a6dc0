"""Functions of layers: those that mix channels pin them, all others leave every channel in its lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.function_probe import fault_of
from kerasprune.graph.rule import channel_axis


def activate(graph: GraphBuilder, layer: Any, ids: np.ndarray) -> np.ndarray:
    """Returns the ids after a layer's own activation, which acts on its output along the channel axis."""
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


def speaks_at_zero(function: Callable[[Any], Any] | None) -> bool:
    """Returns whether a function is something else than zero at zero: what a silent unit of a recurrent layer says."""
    if function is None:
        return False
    try:
        return bool(np.any(ops.convert_to_numpy(function(ops.zeros((1, 1))))))
    except Exception:  # noqa: BLE001  the function is the user's, and pinned where it cannot be tried
        return True
