"""The commonest calls of layers in NumPy: where numbers are few, Keras takes longer to call than to compute.

What is not here is run by Keras. All of it hands on NaN, which stands for what is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import keras
import numpy as np
from keras import layers

Calculation = Callable[[list[np.ndarray], list[tuple[int | None, ...]]], np.ndarray]
"""`calculation(values, shapes)`: the values that go in, with size one where all positions hold the same, and the shapes
of their tensors."""


def in_numpy(layer: Any) -> Calculation | None:
    """Returns what computes a call of a layer; `None` where Keras has to."""
    if getattr(getattr(layer, "dtype_policy", None), "compute_dtype", None) != "float32":
        return None  # casts are part of the call
    kind = type(layer)
    if kind is layers.Add:
        return lambda values, shapes: reduce(np.add, values)
    if kind is layers.Concatenate:
        return lambda values, shapes: _concatenated(values, shapes, layer.axis)
    if kind is layers.ReLU and not layer.negative_slope and not layer.threshold:
        return lambda values, shapes: np.clip(*values, 0, layer.max_value)
    function = activation_in_numpy(layer.activation) if kind is layers.Activation else None
    return None if function is None else lambda values, shapes: function(*values)


def activation_in_numpy(activation: Callable) -> Callable[[np.ndarray], np.ndarray] | None:
    """Returns one of the commonest activations in NumPy; `None` for the others."""
    return next((function for known, function in _ACTIVATIONS if activation is known), None)


def _concatenated(values: list[np.ndarray], shapes: list[tuple[int | None, ...]], axis: int) -> np.ndarray:
    """Returns values one behind the other, at all positions that their tensors have along the axis."""
    axis %= values[0].ndim
    others = np.broadcast_shapes(*(np.delete(x.shape, axis) for x in values))
    return np.concatenate(
        [
            np.broadcast_to(x, (*others[:axis], shape[axis] or 1, *others[axis:]))
            for x, shape in zip(values, shapes, strict=True)
        ],
        axis=axis,
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


_ACTIVATIONS = (
    (keras.activations.linear, lambda x: x),
    (keras.activations.relu, lambda x: np.maximum(x, 0)),
    (keras.activations.sigmoid, _sigmoid),
    (keras.activations.silu, lambda x: x * _sigmoid(x)),
)
