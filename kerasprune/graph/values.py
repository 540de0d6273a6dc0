"""The values of variables, to read."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


def values(variable: Any) -> np.ndarray:
    """Returns the values of a variable, to read: where the backend lends its memory, nothing is copied.

    What the variable is assigned later does not show; what is to be changed or kept in another variable is copied.

    Example:
        >>> values(keras.Variable([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    tensor = ops.stop_gradient(variable)  # the tensor below the variable, on every backend
    return ops.convert_to_numpy(tensor) if keras.backend.backend() == "torch" else np.asarray(tensor)
