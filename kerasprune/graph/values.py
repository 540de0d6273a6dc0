"""The values of variables, to read."""

from __future__ import annotations

import keras
import numpy as np


def values(variable: keras.Variable) -> np.ndarray:
    """Returns the values of a variable, to read: where the backend lends its memory, nothing is copied.

    What the variable is assigned later does not show; what is to be changed or kept in another variable is copied.

    Example:
        >>> import keras
        >>> values(keras.Variable([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and len(variable.shape):  # single numbers of bfloat16 are no arrays there
        return np.asarray(variable.value.value())  # the tensor that the resource holds
    return np.asarray(variable.value) if backend == "jax" else keras.ops.convert_to_numpy(variable)
