"""Variables that are no weights: what penalties, masks and clamps are at, kept inside the compiled step."""

from __future__ import annotations

import keras
import numpy as np


def state_variable(value: np.ndarray | np.generic, name: str) -> keras.Variable:
    """Returns a variable that is not trained, of the value's own type; all replicas have the one of the first."""
    kind = str(value.dtype)
    return keras.Variable(value, dtype=kind, trainable=False, aggregation="only_first_replica", name=name)
