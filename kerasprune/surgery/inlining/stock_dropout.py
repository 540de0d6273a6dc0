"""Replaces custom layers that drop samples, rows or numbers by the `Dropout` of Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

_SAMPLES = 512
_SIDE = 2


def stock_dropout(layer: keras.layers.Layer, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Returns the `keras.layers.Dropout` that does what a layer does, or `None`.

    A layer without weights qualifies if it returns its input in inference, and in training only zeros or the input
    divided by the share kept: for whole samples (stochastic depth) or for single elements. It is tried on ones.

    Args:
        layer: A layer that acts differently in training mode.
        args: What it is called with.
        kwargs: The same by name.
    """
    x = args[0] if len(args) == 1 else None
    if not isinstance(x, keras.KerasTensor) or kwargs or layer.weights or len(x.shape) < 2:
        return None
    ones = np.ones((_SAMPLES, *(_SIDE if size is None else min(size, _SIDE) for size in x.shape[1:])), "float32")
    try:
        with keras.StatelessScope():  # random seeds stay as they are
            used, trained = (
                ops.convert_to_numpy(layer(ops.convert_to_tensor(ones), training=t)) for t in (False, True)
            )
    except Exception:  # noqa: BLE001  the code is the user's
        return None
    if used.shape != ones.shape or not (used == ones).all() or trained.shape != ones.shape:
        return None
    values = np.unique(trained)
    if values.size == 1 and values[0] == 1:
        return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
    if values.size != 2 or values[0] != 0 or values[1] <= 1:
        return None
    rate = _named(layer, float(1 - 1 / values[1]))
    rows = trained.reshape(_SAMPLES, -1)
    shape = (None, *[1] * (len(x.shape) - 1)) if (rows == rows[:, :1]).all() else None
    if abs((trained == 0).mean() - rate) > 4 * np.sqrt(rate * (1 - rate) / (_SAMPLES if shape else trained.size)):
        return None
    return keras.layers.Dropout(rate, noise_shape=shape, name=layer.name, dtype=layer.dtype_policy)


def _named(layer: keras.layers.Layer, found: float) -> float:
    """Returns the attribute nearest to the measured rate, since it has more digits."""
    numbers = [value for value in vars(layer).values() if isinstance(value, float)]
    return next((value for value in numbers if abs(value - found) < 1e-4), found)
