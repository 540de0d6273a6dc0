"""Single weights that are gone: zeros that stay zero while the rest is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from kerasprune.errors import raise_faults


class Held(keras.constraints.Constraint):
    """Keeps the weights of a mask at zero: `w ← where(mask, w, 0)`.

    Args:
        mask: Which weights stay, in the shape of the variable.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = keras.ops.convert_to_tensor(mask, "bool")

    def __call__(self, weights: Any) -> Any:
        # Not a product: that leaves negative zeros, and turns infinity into NaN.
        return keras.ops.where(self.mask, weights, keras.ops.zeros_like(weights))


def apply(model: keras.Model, masks: Mapping[str, np.ndarray]) -> None:
    """Sets the weights that are gone to zero, in place.

    Args:
        model: The model.
        masks: `{variable path: which weights stay}`.
    """
    for variable, mask in _pairs(model, masks):
        variable.assign(np.where(mask, keras.ops.convert_to_numpy(variable), 0))


@contextmanager
def held(model: keras.Model, masks: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Keeps the weights that are gone at zero while the model is trained.

    Args:
        model: The model. Its variables have their own constraints back afterwards.
        masks: `{variable path: which weights stay}`.
    """
    pairs = _pairs(model, masks)
    before = [variable.constraint for variable, _ in pairs]
    try:
        for variable, mask in pairs:
            variable.constraint = Held(mask)
        yield
    finally:
        for (variable, _), constraint in zip(pairs, before, strict=True):
            variable.constraint = constraint


def counted(model: keras.Model, masks: Mapping[str, np.ndarray] | None) -> dict[str, float]:
    """Returns how many parameters are not zero, and the share of masked kernels' weights that are zero."""
    if masks is None:
        return {}
    nonzero = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(v))) for v in model.variables)
    values = [keras.ops.convert_to_numpy(variable) for variable, _ in _pairs(model, masks)]
    zeros = sum(int(value.size - np.count_nonzero(value)) for value in values)
    return {"nonzero": nonzero, "sparsity": zeros / sum(value.size for value in values)}


def _pairs(model: keras.Model, masks: Mapping[str, np.ndarray]) -> list[tuple[Any, np.ndarray]]:
    variables = {variable.path: variable for variable in model.variables}
    faults = [f"no variable is called {path!r}" for path in masks if path not in variables]
    faults += [
        f"{path!r} has shape {tuple(variables[path].shape)}. Received: a mask of shape {mask.shape}"
        for path, mask in masks.items()
        if path in variables and tuple(variables[path].shape) != mask.shape
    ]
    raise_faults("The masks do not fit the model:", faults)
    return [(variables[path], mask) for path, mask in masks.items()]
