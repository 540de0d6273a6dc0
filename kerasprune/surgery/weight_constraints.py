"""Constraints of weights: what they make of numbers that are to be written, and which layers break theirs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import inner_layers, own_weights
from kerasprune.errors import first_of, warn
from kerasprune.graph.graph import values

_TURNS = 100  # of a constraint that only moves towards what it asks for, as MinMaxNorm(rate=0.5)
_CLOSE = 1e-3  # of the largest number: norms are divided by themselves and an epsilon


def project(variable: Any, array: np.ndarray) -> np.ndarray:
    """Returns numbers for a variable within its constraint, which is applied until it changes them no more."""
    for _ in range(_TURNS):
        before, array = array, _applied(variable, array)
        if _close(before, array):
            break
    return array


def obeys(variable: Any, array: np.ndarray) -> bool:
    """Returns whether the constraint of a variable, if any, leaves these numbers as they are.

    One of the user's that fails on their shape does not.
    """
    try:
        return _close(array, _applied(variable, array))
    except Exception:  # noqa: BLE001  the class may be the user's
        return False


def warn_of_constraints(new: keras.Model, old: keras.Model) -> None:
    """Warns of layers of a new model whose weights break their constraints, and did not in the old one."""
    before = _unconstrained(old)
    names = [f"{name!r} ({held})" for name, held in _unconstrained(new).items() if name not in before]
    if names:
        warn(
            f"Expected weights that their constraints leave as they are. Received: {first_of(names)} of {new.name!r}, "
            "whose weights, and with them the outputs, the first step of a training will change. Train the model "
            "before it is judged; kp.reconstruct solves dense layers and convolutions within their constraints."
        )


def _unconstrained(model: keras.Model) -> dict[str, str]:
    """Returns the layers with weights that their constraints would change, `{name: class of the constraint}`."""
    return {
        layer.name: type(variable.constraint).__name__
        for layer in inner_layers(model)
        for variable in own_weights(layer)
        if getattr(variable, "constraint", None) is not None and not obeys(variable, values(variable))
    }


def _applied(variable: Any, array: np.ndarray) -> np.ndarray:
    constraint = getattr(variable, "constraint", None)
    if constraint is None:
        return array
    return ops.convert_to_numpy(constraint(ops.convert_to_tensor(array, variable.dtype))).astype(array.dtype)


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or bool(np.abs(one - other).max(initial=0) <= _CLOSE * np.abs(one).max(initial=0))
