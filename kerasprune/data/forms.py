"""What counts as one array of a user's: of NumPy, of a backend, or a table of pandas."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def is_array(x: Any) -> bool:
    """Returns whether something is one array, as `fit` takes it, rather than batches or a nest of arrays.

    Example:
        >>> import numpy as np
        >>> is_array(np.ones(3)), is_array([1.0, 1.0, 1.0])
        (True, False)
    """
    return isinstance(x, np.ndarray) or keras.ops.is_tensor(x) or _is_torch(x) or _is_pandas(x)


def own_array(x: Any) -> Any:
    """Returns a table of pandas as an array of NumPy, and anything else as it is."""
    return np.asarray(x) if _is_pandas(x) else x


def never_ends(data: Any) -> bool:
    """Says whether data are known to repeat for ever, as a `tf.data.Dataset` knows."""
    try:
        len(data)
    except TypeError as error:
        return "infinite" in str(error)
    return False


def _is_torch(x: Any) -> bool:
    return type(x).__module__.startswith("torch")


def _is_pandas(x: Any) -> bool:
    return type(x).__module__.split(".")[0] == "pandas" and type(x).__name__ in ("DataFrame", "Series")
