"""The forms of data: whole arrays or batches, inputs alone or with labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import keras
import numpy as np


def is_array(x: Any) -> bool:
    """Returns whether `x` is one array, as `fit` takes it, rather than batches or a nest of arrays.

    Arrays are those of NumPy and of any backend, tables of pandas, and anything with `__array__`.

    Example:
        >>> import numpy as np
        >>> is_array(np.ones(3)), is_array([1.0, 1.0, 1.0])
        (True, False)
    """
    return keras.ops.is_tensor(x) or hasattr(x, "__array__") and not isinstance(x, np.generic)


def as_numpy(x: Any) -> np.ndarray:
    """Returns an array, or a tensor of the backend, as an array of NumPy."""
    return keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else np.asarray(x)


def is_stored(x: Any) -> bool:
    """Returns whether an array lies in a file: one of `h5py` or the like, or a memory map.

    Example:
        >>> import numpy as np
        >>> is_stored(np.ones(3))
        False
    """
    if isinstance(x, np.ndarray) or keras.ops.is_tensor(x):
        return isinstance(x, np.memmap)
    in_memory = any(hasattr(x, name) for name in ("__dlpack__", "__array_ufunc__"))
    return is_array(x) and not in_memory and all(hasattr(x, name) for name in ("shape", "dtype", "__getitem__"))


def row_count(nest: Any) -> int:
    """Returns the number of rows of the first array of a nest."""
    return next(iter(np.shape(keras.tree.flatten(nest)[0])), 0)


def rows_of(nest: Any, rows: slice) -> Any:
    """Returns some rows of the arrays in a nest; scalars, such as a weight for all, are not changed."""
    return keras.tree.map_structure(lambda x: x[rows] if is_array(x) and len(x.shape) else x, nest, none_is_leaf=False)


def _sliceable(x: Any) -> Any:
    """Returns an array whose rows can be read without the others, if it is stored, or that is in memory."""
    sliced = isinstance(x, np.ndarray) or keras.ops.is_tensor(x) or is_stored(x)
    return x if sliced or not is_array(x) else as_numpy(x)


def whole(data: Any, inputs: int) -> tuple | None:
    """Returns `(inputs, labels, weights)` of data in whole arrays, without missing parts; `None` for batches.

    Args:
        data: The data.
        inputs: Number of inputs of the model: a list or a tuple of as many arrays holds inputs.

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
    if not isinstance(data, tuple) or not data:
        return None
    alone = (
        isinstance(data[0], list) and len(data[0]) == inputs and all(map(is_array, data[0]))
    )  # as fit takes one input
    return data if alone or _are_inputs(data[0], inputs) else None


def reads_once(data: Any) -> bool:
    """Returns whether data are used up by one reading: iterators, unless they are a `PyDataset` too.

    Example:
        >>> reads_once(iter([])), reads_once([])
        (True, False)
    """
    return isinstance(data, Iterator) and not isinstance(data, keras.utils.PyDataset)


def read_again(data: Any) -> Any:
    """Returns data that can be read repeatedly: a list of the batches of an iterator, other data as they are."""
    return list(data) if reads_once(data) else data


def batches_of(data: Any) -> Iterable[Any]:
    """Returns an iterable over the batches of data; those of a `PyDataset` are read by number.

    An own `PyDataset` may iterate forever, as that of `ImageDataGenerator` does.
    """
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in (count() if data.num_batches is None else range(data.num_batches)))
    return data


def parts_of(data: Any, inputs: int, at_once: int) -> Iterator[tuple]:
    """Yields `(inputs, labels, weights)`, without missing parts, batch by batch.

    Args:
        data: The data.
        inputs: Number of inputs of the model.
        at_once: Rows of whole arrays in a batch; no others are read for it.
    """
    given = whole(data, inputs)
    if given is not None:
        given = keras.tree.map_structure(_sliceable, given, none_is_leaf=False)
        for begin in range(0, max(row_count(given), 1), at_once):
            yield rows_of(given, slice(begin, begin + at_once))
        return
    for batch in batches_of(data):
        yield batch_parts(batch, inputs)


def batch_parts(batch: Any, inputs: int = 1) -> tuple:
    """Returns `(inputs, labels, weights)` of one batch, without missing parts.

    Args:
        batch: The batch: a tuple, or a list of the parts as a data loader makes it.
        inputs: Number of inputs of the model: as many arrays are inputs alone. Defaults to 1: as in `fit`.

    Example:
        >>> import numpy as np
        >>> x, y = np.ones((8, 2)), np.ones(8)
        >>> [len(batch_parts(batch)) for batch in ([x, y], (x, y), (x,), x, {"x": x})]
        [2, 2, 1, 1, 1]
    """
    several = isinstance(batch, tuple | list) and len(batch) and not _are_inputs(batch, inputs)
    return tuple(batch) if several else (batch,)


def _are_inputs(nest: Any, inputs: int) -> bool:
    """Returns whether a nest holds all inputs of a model: one array, a dict, or as many arrays as it has inputs."""
    if is_array(nest) or isinstance(nest, Mapping):
        return True
    return isinstance(nest, tuple | list) and 1 < inputs == len(nest) and all(map(is_array, nest))
