"""The forms in which examples are given: whole arrays or batches, inputs alone or with labels beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import keras
import numpy as np


def is_array(x: Any) -> bool:
    """Returns whether something is one array, as `fit` takes it, rather than batches or a nest of arrays.

    Arrays are those of NumPy and of any backend, tables of pandas, and whatever else NumPy takes for an array.

    Example:
        >>> import numpy as np
        >>> is_array(np.ones(3)), is_array([1.0, 1.0, 1.0])
        (True, False)
    """
    return keras.ops.is_tensor(x) or hasattr(x, "__array__") and not isinstance(x, np.generic)


def as_numpy(x: Any) -> np.ndarray:
    """Returns an array, or a tensor of the backend, as an array of NumPy."""
    return keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else np.asarray(x)


def whole(data: Any, inputs: int) -> tuple | None:
    """Returns `(inputs, labels, weights)` of data in whole arrays, as far as there are; `None` for batches.

    Args:
        data: The data.
        inputs: The number of inputs that the model takes: a list or a tuple of so many arrays is inputs.

    Example:
        >>> import numpy as np
        >>> x, y = np.ones((8, 2)), np.ones(8)
        >>> [len(whole(data, inputs=1)) for data in (x, (x, y), {"x": x})], whole([(x, y)], inputs=1)
        ([1, 2, 1], None)
        >>> len(whole((x, x), inputs=2)), len(whole(([x, x], y), inputs=2))
        (1, 2)
    """
    if _are_inputs(data, inputs):
        return (data,)
    return data if isinstance(data, tuple) and data and _are_inputs(data[0], inputs) else None


def batches_of(data: Any) -> Iterable[Any]:
    """Returns what yields the batches of data, as they were given."""
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in (count() if data.num_batches is None else range(data.num_batches)))
    return data


def parts_of(batch: Any, inputs: int) -> tuple:
    """Returns `(inputs, labels, weights)` of a batch, as far as there are; loaders make lists of them.

    Args:
        batch: What data yield.
        inputs: The number of inputs that the model takes.
    """
    several = isinstance(batch, tuple | list) and len(batch) and not _are_inputs(batch, inputs)
    return tuple(batch) if several else (batch,)


def _are_inputs(nest: Any, inputs: int) -> bool:
    """Returns whether something is all the inputs of a model: an array, some by name, or as many as it takes."""
    if is_array(nest) or isinstance(nest, Mapping):
        return True
    return isinstance(nest, tuple | list) and 1 < inputs == len(nest) and all(map(is_array, nest))
