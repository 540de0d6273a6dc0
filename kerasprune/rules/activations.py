"""Activation functions that mix channels pin them; all others leave every channel in its lane."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.graph.builder import GraphBuilder

_MIXING = tuple(keras.activations.get(name) for name in ("softmax", "log_softmax", "sparsemax", "glu"))


def activate(graph: GraphBuilder, layer: Any, ids: np.ndarray) -> np.ndarray:
    """Returns the ids after a layer's own activation, pinned where the activation mixes channels."""
    if layer.activation in _MIXING:
        graph.pin(ids, f"{layer.name!r} normalises over the channels")
    return ids
