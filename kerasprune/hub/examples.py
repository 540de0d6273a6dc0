"""Examples as `task.fit` takes them, through the preprocessor of the task."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops, tree

_MOST = 512
_MASK = "padding_mask"


def model_inputs(model: keras.Model, data: Any, samples: int = _MOST) -> Any:
    """Returns inputs of a model as arrays, in the structure that it takes.

    Args:
        model: A task or a backbone of KerasHub.
        data: Texts or images, which the preprocessor of a task takes, in an array, a list or batches, with labels or
            without; or inputs of the model.
        samples: Largest number of examples. Defaults to 512.
    """
    preprocessor, parts = getattr(model, "preprocessor", None), []
    if preprocessor is None or _are_inputs(model, data):
        return data
    seen = 0
    for batch in _batches(data):
        raw = batch[0] if isinstance(batch, tuple) else batch
        made = preprocessor(raw)
        made = made[0] if isinstance(made, tuple) else made
        parts.append(tree.map_structure(ops.convert_to_numpy, made))
        seen += len(tree.flatten(parts[-1])[0])
        if seen >= samples:
            break
    return _without_padding(tree.map_structure(lambda *arrays: np.concatenate(arrays)[:samples], *parts))


def _without_padding(inputs: Any) -> Any:
    """Returns inputs without the positions at the end that are padding in every example."""
    mask = inputs.get(_MASK) if isinstance(inputs, dict) else None
    if mask is None or mask.ndim != 2 or not mask.any():
        return inputs
    length = int(np.flatnonzero(mask.any(axis=0))[-1]) + 1
    return {name: array[:, :length] if array.shape == mask.shape else array for name, array in inputs.items()}


def _are_inputs(model: keras.Model, data: Any) -> bool:
    """Returns whether data are arrays for the inputs of a model by name."""
    return isinstance(data, dict) and isinstance(model.input, dict) and data.keys() == model.input.keys()


def _batches(data: Any) -> Any:
    """Returns batches of raw examples."""
    is_array = (
        isinstance(data, np.ndarray) or isinstance(data, list) and not isinstance(data[0], list | tuple | np.ndarray)
    )
    return [data] if is_array or isinstance(data, tuple) else data
