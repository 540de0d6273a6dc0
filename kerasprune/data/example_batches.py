"""Examples without labels: a number of batches of flat inputs, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.data.forms import batches_of, parts_of, whole
from kerasprune.data.refusals import check_found, check_given
from kerasprune.data.signature import Signature, leaves_side_free, signature_of

FlatInputs = list[np.ndarray]
"""Some examples: an array for every input of a model, in flat order."""
Batches = list[FlatInputs]
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
    parts: list[FlatInputs] = []
    count = 0
    for arrays in flat_inputs(signature_of(model), data):
        parts.append([array[: samples - count] for array in arrays])
        count += len(parts[-1][0])
        if count >= samples:
            break
    check_found(count)
    return list(_regrouped(parts))


def flat_inputs(signature: Signature, data: Any) -> Iterator[FlatInputs]:
    """Yields the inputs of data as they are given, whole arrays at once: checked, and in the types the model takes.

    Args:
        signature: The inputs of the model.
        data: As for `example_batches`.

    Raises:
        PruneError: The data do not fit the inputs, or hold something that is not a number.
    """
    check_given(data)
    number = len(signature.inputs)
    given = whole(data, number)
    for parts in (parts_of(batch, number) for batch in batches_of(data)) if given is None else [given]:
        yield signature.cast(signature.checked(parts[0]))


def image_side(model: keras.Model, batches: Batches) -> int | None:
    """Returns the image side of examples for a model that leaves its own free; `None` for any other.

    Args:
        model: The model that takes them.
        batches: What `example_batches` has returned.
    """
    first = batches[0][0]
    return first.shape[1] if leaves_side_free(model) and first.ndim == 4 else None


def _regrouped(parts: Batches) -> Iterator[FlatInputs]:
    """Yields the same examples in batches that fit into memory; only what is of one shape is put together."""
    for batch in parts:
        numbers = sum(prod(array.shape[1:]) for array in batch if len(array))
        size = min(_BATCH, max(_NUMBERS_AT_ONCE // max(numbers, 1), 1))
        for begin in range(0, len(batch[0]), size):
            yield [array[begin : begin + size] for array in batch]
