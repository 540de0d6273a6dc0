"""The batches that criteria read: checked against the model before anything is computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import structures
from kerasprune.data.forms import never_ends
from kerasprune.data.nests import flat, keys_of
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.walk import functional

_BATCH = 32  # examples at a time, of arrays that are given whole


class Batch(NamedTuple):
    """Inputs, labels and weights of some examples, as `model.fit` takes them; without weights these are `None`."""

    inputs: Any
    labels: Any
    weights: Any = None

    @property
    def size(self) -> int:
        """The number of examples."""
        return int(tree.flatten(self.inputs)[0].shape[0])


def batches(data: Any, model: keras.Model, most: int | None = None) -> Iterator[Batch]:
    """Yields the batches of a data set, of which the first is checked against the model.

    Args:
        data: Batches of `(inputs, labels)` or `(inputs, labels, weights)`: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, a list, or anything that yields them; or one such tuple of whole arrays, of which
            32 examples are taken at a time.
        model: The model that they are for.
        most: How many examples are read; the last batch is cut. Defaults to `None`, all.

    Raises:
        PruneError: There are none, they do not end, they have no labels, or the inputs are not those of the model.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> x, y = np.zeros((8, 2)), np.zeros((8, 1))
        >>> [batch.size for batch in batches([(x, y), (x, y)], model, most=12)]
        [8, 4]
    """
    each, found = _each(data), 0
    if most is None and never_ends(data):
        raise PruneError(
            f"Expected batches that end. Received: data={_kind(data)}, which repeats for ever. "
            "Give data.take(number of batches)."
        )
    for raw in each:
        batch = _batch(raw, data)
        if not found:
            _check_inputs(batch, model)
        if most is not None and found + batch.size > most:
            batch = first(batch, most - found)
        if batch.size:
            yield batch
        found += batch.size
        if found == most:
            break
    if not found:
        raise PruneError(
            f"Expected batches of (inputs, labels). Received: data={_kind(data)}, which yields none. "
            "A generator can be read once: give a list or a data set."
        )


def first(batch: Batch, number: int) -> Batch:
    """Returns the first examples of a batch."""
    return Batch(*tree.map_structure(lambda array: array[:number], tuple(batch), none_is_leaf=False))


def _each(data: Any) -> Iterable[Any]:
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in range(data.num_batches))
    if isinstance(data, tuple) and _arrays(data):
        return _slices(data)
    try:
        return iter(data)
    except TypeError as error:
        raise PruneError(
            f"Expected batches of (inputs, labels), as model.fit takes them. Received: data={_kind(data)}."
        ) from error


def _slices(arrays: tuple) -> Iterator[tuple]:
    """Yields whole arrays a few examples at a time."""
    nest = tree.map_structure(_array, arrays, none_is_leaf=False)
    lengths = {int(array.shape[0]) if len(array.shape) else 0 for array in tree.flatten(nest) if array is not None}
    if len(lengths) != 1:
        raise PruneError(
            f"Expected as many labels as inputs in data=(x, y). Received: {' and '.join(map(str, sorted(lengths)))}."
        )
    for begin in range(0, *lengths, _BATCH):
        yield tree.map_structure(lambda array, at=begin: array[at : at + _BATCH], nest, none_is_leaf=False)


def _batch(raw: Any, data: Any) -> Batch:
    if isinstance(raw, list | tuple) and len(raw) in (2, 3) and not (isinstance(data, list) and _arrays(data)):
        return Batch(*tree.map_structure(_array, tuple(raw), none_is_leaf=False))
    if _arrays(data):
        remedy = "Give arrays as a tuple, data=(x, y), and batches as a list of them, data=[(x, y), …]."
    elif isinstance(raw, Mapping) or np.ndim(raw):
        remedy = "This criterion needs labels: give (inputs, labels), where inputs may be a dict."
    else:
        remedy = "Give data= as model.fit takes it, in batches."
    raise PruneError(f"Expected batches of (inputs, labels). Received: a batch of type {_kind(raw)}. {remedy}")


def _arrays(data: Any) -> bool:
    """Says whether these are the two arrays of `fit(x, y)`, rather than two batches."""
    return isinstance(data, tuple | list) and len(data) in (2, 3) and not any(isinstance(x, list | tuple) for x in data)


def _array(x: Any) -> Any:
    return x if ops.is_tensor(x) else np.asarray(x)


def _kind(value: Any) -> str:
    return (
        f"{type(value).__name__} of shape {tuple(value.shape)}"
        if isinstance(value, np.ndarray)
        else type(value).__name__
    )


def _check_inputs(batch: Batch, model: keras.Model) -> None:
    """Checks that arrays are those of a model's inputs, one example beside the other."""
    body = functional(model)
    names = keys_of(structures(body)[0]) or [tensor.name for tensor in body.inputs]
    expected = {name: tuple(tensor.shape) for name, tensor in zip(names, body.inputs, strict=True)}
    given = tree.flatten(batch.inputs)
    if isinstance(batch.inputs, Mapping):
        by_name = flat(batch.inputs)
        if not by_name.keys() >= expected.keys():
            raise PruneError(f"Expected inputs {sorted(expected)}. Received: {sorted(by_name)}. Name them so.")
        given = [by_name[name] for name in expected]
    if len(given) != len(expected):
        raise PruneError(f"Expected {len(expected)} inputs for {model.name!r}. Received: {len(given)} in a batch.")
    shapes = [tuple(each.shape) for each in given]
    labels = [tuple(each.shape) for each in tree.flatten(batch.labels)]
    faults = [
        f"input {name!r} of shape {shape}. Received: {found}.{_hint(shape, found)}"
        for (name, shape), found in zip(expected.items(), shapes, strict=True)
        if not _fits(shape, found)
    ]
    faults += [
        f"as many labels as inputs, {shapes[0][0]}. Received: labels of shape {each}."
        for each in ([] if faults else labels)
        if each[:1] != shapes[0][:1]
    ]
    raise_faults(f"The data do not fit {model.name!r}. Expected:", faults)


def _fits(shape: tuple[int | None, ...], found: tuple[int, ...]) -> bool:
    return len(shape) == len(found) and all(a in (None, b) for a, b in zip(shape[1:], found[1:], strict=True))


def _hint(shape: tuple[int | None, ...], found: tuple[int, ...]) -> str:
    if len(found) == len(shape) - 1:
        return " It lacks the batch axis: give data.batch(32)."
    return " Resize the data, or build the model for them."
