"""Bounds of a variable, kept inside the compiled training step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.state_variables import state_variable


class Box(keras.constraints.Constraint):
    """`w ← min(max(w, low), high)`, entry by entry, after every step of the optimizer.

    The bounds are variables, so that they can be moved between two steps without making the step anew; where both are
    equal, the entry stands still.

    Args:
        low: Lower bounds, in the variable's shape or one that broadcasts to it.
        high: Upper bounds, likewise.

    Example:
        >>> Box(np.zeros(3), np.ones(3))(keras.ops.array([-1.0, 0.5, 2.0])).numpy().tolist()
        [0.0, 0.5, 1.0]
    """

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low = state_variable(np.asarray(low, "float32"), "low")
        self.high = state_variable(np.asarray(high, "float32"), "high")

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        low, high = (ops.cast(bound, weight.dtype) for bound in (self.low, self.high))
        return ops.minimum(ops.maximum(weight, low), high)

    def move(self, low: np.ndarray, high: np.ndarray) -> None:
        """Sets other bounds, from the next step on."""
        self.low.assign(low)
        self.high.assign(high)
