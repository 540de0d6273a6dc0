"""The inputs in batches of data, with or without labels, checked against what a model takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import structures
from kerasprune.errors import PruneError, short
from kerasprune.graph.walk import functional

_BATCH = "Give batches as model.fit takes them, such as [(images, labels), …] or a tf.data.Dataset; labels may lack."


def input_batches(model: keras.Model, data: Any, number: int | None = None) -> Iterator[list[np.ndarray]]:
    """Yields the inputs of every batch, in the order of the model's inputs.

    Args:
        model: The model.
        data: Batches: `inputs`, `(inputs, labels)` or `(inputs, labels, weights)`; inputs are an array, or a list or a
            dict of them where the model takes several. Any iterable, a `keras.utils.PyDataset` too.
        number: How many batches are read at the most. Defaults to all.

    Yields:
        One array for each input.

    Raises:
        PruneError: There are no batches, they are arrays of examples without a batch axis or of other shapes than the
            model takes, or a number in them is not finite.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> [batch[0].shape for batch in input_batches(model, [np.ones((4, 2)), (np.ones((3, 2)), np.ones(3))])]
        [(4, 2), (3, 2)]
    """
    found = 0
    for found, batch in enumerate(islice(_iterated(data), number), start=1):  # noqa: B007
        inputs = [_array(each) for each in _inputs(model, batch)]
        _check(model, inputs)
        yield inputs
    if not found:
        raise PruneError(f"Expected at least one batch of data. Received: data={short(data)}, without any. {_BATCH}")


def _iterated(data: Any) -> Iterable[Any]:
    if isinstance(data, keras.utils.PyDataset):
        return (data[index] for index in range(len(data)))
    if isinstance(data, np.ndarray) or keras.ops.is_tensor(data):
        raise PruneError(
            f"Expected batches of data. Received: data=an array of shape {tuple(data.shape)}. Give a list of batches, "
            "such as [data[:128], data[128:256]]."
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | dict):
        raise PruneError(f"Expected batches of data. Received: data of type {type(data).__name__}. {_BATCH}")
    return data


def _inputs(model: keras.Model, batch: Any) -> list[Any]:
    """Returns the inputs of a batch, labels and weights left out, in the order of the model's inputs."""
    wanted = functional(model).inputs
    alone = isinstance(batch, list) and len(wanted) == 1 and 1 < len(batch) <= 3  # a list for a tuple
    inputs = batch[0] if isinstance(batch, tuple) and batch or alone else batch
    if not isinstance(inputs, dict):
        return list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    structure = structures(functional(model))[0]
    names = structure if isinstance(structure, dict) else {each.name: each for each in wanted}
    lacking = [name for name in names if name not in inputs]
    if lacking:
        raise PruneError(
            f"Expected the inputs {', '.join(map(repr, names))}. Received: a batch with "
            f"{', '.join(map(repr, inputs)) or 'none'}. Name them as the model does."
        )
    place = {id(tensor): inputs[name] for name, tensor in names.items() if not isinstance(tensor, dict | list | tuple)}
    if len(place) < len(names):
        return tree.flatten(inputs)
    return [place[id(tensor)] for tensor in wanted]


def _array(value: Any) -> Any:
    try:
        array = value if isinstance(value, np.ndarray) else ops.convert_to_numpy(value)
    except (TypeError, ValueError) as error:
        raise PruneError(f"Expected batches of arrays. Received: {short(value)}: {error}. {_BATCH}") from error
    if array.dtype == object:
        raise PruneError(f"Expected batches of arrays. Received: {short(value)}. {_BATCH}")
    return array


def _check(model: keras.Model, inputs: list[Any]) -> None:
    wanted = [tuple(tensor.shape) for tensor in functional(model).inputs]
    shapes = [tuple(np.shape(each)) for each in inputs]
    if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
        single = len(shapes) == len(wanted) and all(_fits((1, *s), w) for s, w in zip(shapes, wanted, strict=True))
        raise PruneError(
            f"Expected batches of inputs of shape {_said(wanted)}. Received: {_said(shapes)}"
            f"{', an example without a batch axis' if single else ''}. {_BATCH}"
        )
    if any(each.dtype.kind in "fc" and not np.isfinite(each).all() for each in inputs):
        raise PruneError("Expected finite inputs. Received: a batch with NaN or infinity. Clean the data.")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    pairs = zip(shape[1:], wanted[1:], strict=False)
    return len(shape) == len(wanted) and shape[0] > 0 and all(b in (None, a) for a, b in pairs)


def _said(shapes: list[tuple]) -> str:
    return ", ".join(str(shape).replace("None", "any") for shape in shapes) or "nothing"
