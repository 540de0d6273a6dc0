"""Variables that are no weights: what penalties, masks and clamps are at, kept inside the compiled step."""

from __future__ import annotations

import keras
import numpy as np


class StateVariable(keras.Variable):
    """A variable of a callback, told apart from those of models and optimizers."""


def state_variable(value: np.ndarray | np.generic, name: str) -> StateVariable:
    """Returns a variable that is not trained, of the value's own type; all replicas have the one of the first."""
    kind = str(value.dtype)
    return StateVariable(value, dtype=kind, trainable=False, aggregation="only_first_replica", name=name)
