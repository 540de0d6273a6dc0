"""A model at every step in time, as the same model on all steps at once: time is folded into the batch and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import tree

from kerasprune._keras import inner_layers
from kerasprune.inlining.free_sizes import ones_along


def all_steps_at_once(x: Any, call: Callable[[Any], Any]) -> Any:
    """Returns what a layer makes of every step of a tensor `(batch, steps, …)`, in one call on `(batch · steps, …)`."""
    made = call(keras.ops.reshape(x, (-1, *keras.ops.shape(x)[2:])))
    if x.shape[1] is not None:
        return tree.map_structure(lambda y: keras.ops.reshape(y, (-1, x.shape[1], *y.shape[1:])), made)
    places = _places(x)
    return tree.map_structure(lambda y: keras.ops.take(y, places, axis=0), made)


def _places(x: Any) -> Any:
    """Returns `b · steps + t`, of shape `(batch, steps)`: where step t of sample b is once time is in the batch.

    No operation of Keras reshapes to two sizes that are free.
    """
    ones = ones_along(x, 0, 1)
    steps = keras.ops.sum(ones, axis=1, keepdims=True)
    samples = keras.ops.subtract(keras.ops.cumsum(ones, axis=0), 1)
    return keras.ops.add(samples * steps, keras.ops.subtract(keras.ops.cumsum(ones, axis=1), 1))


def takes_statistics(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer, or one inside it, computes with statistics of the batch while training."""
    return any(isinstance(each, keras.layers.BatchNormalization) for each in inner_layers(layer))
