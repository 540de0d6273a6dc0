"""Examples without labels, from whatever a user trains on: a number of batches of flat inputs, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.data.forms import is_array
from kerasprune.data.signature import Signature, leaves_side_free, signature_of
from kerasprune.errors import PruneError, raise_faults, short

Batches = list[list[np.ndarray]]
"""Batches of examples; each is one array for every input of a model, in flat order."""

_BATCH = 128
_NUMBERS_AT_ONCE = 2**22  # of inputs: larger examples come in smaller batches


def example_batches(model: keras.Model, data: Any, samples: int) -> Batches:
    """Returns the first examples of data, without labels.

    Args:
        model: The model that takes them.
        data: An array or a table of pandas, or a tuple, list or dict of these for several inputs; or batches: a
            `tf.data` data set, a data loader, a generator or a list, each batch being inputs or `(inputs, labels, …)`.
            Labels are not looked at.
        samples: How many examples are taken at most.

    Returns:
        Batches of at most 128 examples: an array for every input, in flat order and in the type the model takes.

    Raises:
        PruneError: The data do not fit the inputs, hold nothing, or something that is not a number.
    """
    signature = signature_of(model)
    parts: list[list[np.ndarray]] = []
    count = 0
    for element in _elements(signature, data):
        arrays = _checked(signature, element)
        parts.append([array[: samples - count] for array in arrays])
        count += len(parts[-1][0])
        if count >= samples:
            break
    if not count:
        raise PruneError("Expected examples in data. Received: none. Give a batch of inputs at the least.")
    return list(_regrouped(parts))


def image_side(model: keras.Model, batches: Batches) -> int | None:
    """Returns the image side of examples for a model that leaves its own free; `None` for any other.

    Args:
        model: The model that takes them.
        batches: What `example_batches` has returned.
    """
    first = batches[0][0]
    return first.shape[1] if leaves_side_free(model) and first.ndim == 4 else None


def _elements(signature: Signature, data: Any) -> Iterator[Any]:
    """Yields the nests of inputs in data."""
    several = len(signature.inputs) > 1
    if data is None or isinstance(data, str | bytes):
        raise PruneError(
            f"Expected data: arrays, or batches of inputs. Received: data={short(data)}. "
            "Read files with kp.data.load, or with keras.utils."
        )
    if is_array(data) or isinstance(data, Mapping):
        yield data
    elif isinstance(data, tuple) and all(is_array(x) or isinstance(x, Mapping) for x in data):
        yield data if several and len(data) == len(signature.inputs) else data[0]
    elif isinstance(data, list) and several and len(data) == len(signature.inputs) and all(map(is_array, data)):
        yield data
    elif isinstance(data, keras.utils.PyDataset):
        yield from (_inputs(data[index], several) for index in range(data.num_batches))
    elif isinstance(data, Iterable):
        yield from (_inputs(element, several) for element in data)
    else:
        raise PruneError(f"Expected data: arrays, or batches of inputs. Received: data of {type(data).__name__}.")


def _inputs(element: Any, several: bool) -> Any:
    """Returns the inputs of `(inputs, labels, …)`, the convention of `fit`; of a list too, as loaders make it."""
    if isinstance(element, tuple) or isinstance(element, list) and not several:
        return element[0]
    return element


def _checked(signature: Signature, nest: Any) -> list[np.ndarray]:
    """Returns the flat inputs of one nest as arrays of the right types, having found them to fit."""
    arrays = [np.asarray(x) for x in signature.flatten(nest)]
    faults = []
    for spec, array in zip(signature.inputs, arrays, strict=True):
        faults += spec.faults(array)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            faults.append(f"Expected numbers for the input {spec.name!r}. Received: NaN or infinity among them.")
    if len({len(array) for array in arrays if array.ndim}) > 1:
        faults.append(f"Expected as many examples for every input. Received: {[len(array) for array in arrays]}.")
    raise_faults("The data do not fit the model:", faults)
    return [spec.cast(array) for spec, array in zip(signature.inputs, arrays, strict=True)]


def _regrouped(parts: Batches) -> Iterator[list[np.ndarray]]:
    """Yields the same examples in batches that fit into memory; only what is of one shape is put together."""
    for batch in parts:
        numbers = sum(prod(array.shape[1:]) for array in batch if len(array))
        size = min(_BATCH, max(_NUMBERS_AT_ONCE // max(numbers, 1), 1))
        for begin in range(0, len(batch[0]), size):
            yield [array[begin : begin + size] for array in batch]
