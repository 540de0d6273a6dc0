"""Checks of examples: each fault is one sentence."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import as_numpy, reads_once
from kerasprune.errors import PruneError, short

Shape = Sequence[int | None]


def check_given(data: Any) -> None:
    """Raises if `data` is a name or a path, or cannot be iterated over."""
    named = isinstance(data, str | bytes | Path)
    if isinstance(data, Mapping) and not isinstance(data, dict):  # a file of arrays, of h5py or NumPy
        keys = ", ".join(map(str, itertools.islice(data, 5)))
        raise PruneError(
            f"Expected data: arrays, or a dict of them. Received: {type(data).__name__} of {keys or 'nothing'}. Give "
            "its arrays, as data=(file['x'], file['y']); or dict(file), if they are inputs by name."
        )
    # No iterator is made, since a data set may shuffle for each.
    if named or not (isinstance(data, Iterable) or hasattr(type(data), "__getitem__")):
        remedy = " Read files with kp.data.load, numpy.load or keras.utils." if named else ""
        if callable(data):
            remedy = " Give the arrays it returns; for a generator, tf.data.Dataset.from_generator makes a data set."
        raise PruneError(
            f"Expected data: arrays, or batches of them, as fit takes them. Received: data={short(data)}.{remedy}"
        )


def check_again(data: Any) -> None:
    """Raises if data cannot be read repeatedly: iterators, endless data sets, or no data at all."""
    check_given(data)
    if reads_once(data):
        raise PruneError(
            f"Expected data that can be read several times. Received: {short(data)}, which is used up by the first "
            "reading. Give arrays, a tf.data.Dataset or a keras.utils.PyDataset."
        )
    check_ends(data)


def check_ends(data: Any, name: str = "") -> None:
    """Raises if data are known to be endless.

    Args:
        data: The data.
        name: The source, for the message. Defaults to their type.
    """
    if _never_ends(data):
        raise PruneError(
            f"Expected data of finite length. Received: {name or type(data).__name__}, which repeats forever. "
            "Leave .repeat() out, or give data.take(number of batches)."
        )


def check_found(number: int, name: str = "data") -> None:
    """Raises if no example was found.

    Args:
        number: Number of examples, or batches, found.
        name: The source, for the message. Defaults to `"data"`.
    """
    if not number:
        raise PruneError(
            f"Expected examples in {name}. Received: none. They are empty, or come from a generator that was read "
            "before: give at least one batch, and arrays or a data set for several readings."
        )


def check_arrays(leaves: Iterable[Any]) -> None:
    """Raises if a leaf of the data is a Python number or text, as in a list, or rows that differ in length."""
    leaves = list(leaves)
    if ragged := [x for x in leaves if _is_ragged(x)]:
        raise PruneError(
            f"Expected arrays, whose rows have one length. Received: {type(ragged[0]).__name__} of rows that differ in "
            "length. Pad them, with x.to_tensor() or keras.utils.pad_sequences(x, padding='post'), and make batches of "
            "rows of one length where the model tells padding from what was there."
        )
    sparse = [x for x in leaves if type(x).__module__.startswith("scipy.sparse")]
    if sparse:
        raise PruneError(f"Expected arrays. Received: {type(sparse[0]).__name__}. Make arrays of them: x.toarray().")
    numbers = [x for x in leaves if isinstance(x, int | float | str | bytes) and not isinstance(x, np.generic)]
    if numbers:
        raise PruneError(
            f"Expected arrays. Received: lists of Python numbers or texts, such as {numbers[0]!r}. "
            "Make arrays of them, numpy.asarray(…), and pad those that differ in length: keras.utils.pad_sequences."
        )


def _is_ragged(x: Any) -> bool:
    """Returns whether an array has rows of several lengths: a ragged tensor, or an array of lists or of arrays."""
    rows = x.flat[:1] if isinstance(x, np.ndarray) and x.dtype.kind == "O" else ()
    return type(x).__name__.startswith("RaggedTensor") or any(
        isinstance(row, list | tuple | np.ndarray) for row in rows
    )


def finite_faults(name: str, array: np.ndarray, held: str = "float32") -> list[str]:
    """Returns a fault if an array holds NaN, infinity, or numbers that overflow.

    Args:
        name: The array in words.
        array: The array.
        held: The dtype of the model's input. Defaults to `"float32"`.
    """
    if array.dtype.kind != "f" or not array.size:
        return []
    furthest = max(float(array.max()), -float(array.min()))  # NaN if there is one
    if not np.isfinite(furthest):
        return [f"Expected numbers for {name}. Received: NaN or infinity among them."]
    if held == "float64" or furthest <= float(np.finfo(np.float32).max):
        return []
    return [
        f"Expected numbers for {name} that float32, in which models compute, can hold. "
        f"Received: {furthest:.3g} among them, or its negative, which overflows. Scale them."
    ]


def label_faults(name: str, labels: np.ndarray) -> list[str]:
    """Returns a fault if labels are not numbers, or not finite.

    Args:
        name: The labels in words.
        labels: The labels.
    """
    classes = "Number the classes from 0, in the order of the model: numpy.array([names.index(each) for each in y])."
    return _number_faults(name, labels, classes) or finite_faults(f"the {name}", labels)


def weight_faults(weights: Any) -> list[str]:
    """Returns a fault if sample weights are not numbers."""
    return [] if weights is None else _number_faults("sample weights", as_numpy(weights), _CONVERT)


_CONVERT = "Convert them with astype('float32')."


def _number_faults(name: str, array: np.ndarray, for_texts: str) -> list[str]:
    """Returns a fault, with one remedy for texts and another for objects, if an array does not hold numbers."""
    if not array.size or array.dtype.kind in "biuf" or str(array.dtype) == "bfloat16":
        return []
    first = array.flat[0].decode(errors="replace") if isinstance(array.flat[0], bytes) else array.flat[0]
    remedy = for_texts if isinstance(first, str) else _CONVERT
    return [f"Expected numbers as {name}. Received: values such as {short(first)}, dtype={array.dtype}. {remedy}"]


def length_faults(inputs: Sequence[Shape], labels: Sequence[Shape] = (), what: str = "labels") -> list[str]:
    """Returns the faults of arrays that differ in the number of examples.

    Args:
        inputs: The shape of every input.
        labels: The shapes of the labels or weights. Defaults to none.
        what: These in words. Defaults to `"labels"`.
    """
    number = tuple(inputs[0][:1])
    if not number or any(tuple(shape[:1]) != number for shape in inputs):
        shapes = ", ".join(str(tuple(shape)) for shape in inputs)
        return [f"Expected the same number of examples for every input. Received: inputs of shape {shapes}."]
    if () in map(tuple, labels):
        return [f"Expected {what} as arrays. Received: a list of {len(labels)} numbers. Make one array: numpy.stack."]
    return [
        f"Expected as many {what} as inputs, {', '.join(map(str, number))}. Received: {what} of shape {tuple(shape)}."
        for shape in labels
        if tuple(shape[:1]) != number
    ]


def beside_faults(inputs: Sequence[Shape], *beside: Sequence[Shape]) -> list[str]:
    """Returns the faults of labels, and of sample weights, that differ from the inputs in the number of examples."""
    shapes = zip(("labels", "sample weights"), beside, strict=False)
    return [fault for what, each in shapes for fault in length_faults(inputs, each, what)]


def _never_ends(data: Any) -> bool:
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is None
    try:
        len(data)
    except TypeError as error:
        return "infinite" in str(error)
    return False
