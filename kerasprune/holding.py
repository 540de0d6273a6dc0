"""Masks on a model outside of callbacks: what is gone stays zero, whatever trains the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.constraints import Chain, Mask
from kerasprune.errors import nearest, raise_faults
from kerasprune.pairs import joined, without


def dtype_faults(masks: Mapping[str, np.ndarray]) -> list[str]:
    """Returns a fault for every mask that is not boolean."""
    return [
        f"Expected boolean masks. Received: dtype {np.asarray(mask).dtype} for {path!r}. Use mask.astype(bool)."
        for path, mask in masks.items()
        if np.asarray(mask).dtype != bool
    ]


def masked_variables(
    variables: Sequence[Any], masks: Mapping[str, np.ndarray], called: str = "variable"
) -> list[tuple[Any, np.ndarray]]:
    """Returns `(variable, mask)` for masks by path.

    Args:
        variables: The variables that may be masked.
        masks: `{variable path: which weights stay}`.
        called: What one of the variables is called in messages. Defaults to `"variable"`.

    Raises:
        PruneError: A path is not that of a variable, a mask is not boolean, or shapes differ.
    """
    known = {variable.path: variable for variable in variables}
    faults = dtype_faults(masks)
    for path, mask in masks.items():
        if path not in known:
            faults.append(f"no {called} is called {path!r}.{nearest(path, known)}")
        elif tuple(known[path].shape) != np.shape(mask):
            shape = tuple(known[path].shape)
            faults.append(f"{path!r} has shape {shape}. Received: a mask of shape {np.shape(mask)}.")
    raise_faults("The masks do not fit the model:", faults)
    return [(known[path], np.asarray(mask)) for path, mask in masks.items()]


def apply_masks(model: keras.Model, masks: Mapping[str, np.ndarray]) -> None:
    """Sets the weights that are gone to zero, in place.

    Args:
        model: The model.
        masks: `{variable path: which weights stay}`.
    """
    for variable, mask in masked_variables(model.variables, masks):
        variable.assign(np.where(mask, ops.convert_to_numpy(variable), 0))


@contextmanager
def held(model: keras.Model, masks: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Keeps the weights that are gone at zero while the block runs, by constraints on the variables.

    `kp.callbacks.HoldMask` does the same for one `fit`, and zeroes the optimizer's memory too.

    Args:
        model: The model. Its variables have their own constraints back afterwards.
        masks: `{variable path: which weights stay}`.
    """
    put = []
    try:
        for variable, mask in masked_variables(model.variables, masks):
            constraint = Mask(partial(ops.convert_to_tensor, mask, "bool"))
            variable.constraint = joined(Chain, variable.constraint, constraint)
            put.append((variable, constraint))
        _forget(model)
        yield
    finally:
        for variable, constraint in put:
            variable.constraint = without(variable.constraint, constraint)
        _forget(model)


def _forget(model: keras.Model) -> None:
    """Throws away compiled steps, which hold the constraints of the moment they were traced."""
    model.train_function = None
    model.test_function = None
