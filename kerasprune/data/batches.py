"""Batches for criteria, labelled or not, checked against the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import call_operation, inner_layers, is_of_keras, maker
from kerasprune.backend.engine import full_precision
from kerasprune.data.arrays_or_batches import parts_of, row_count, rows_of, whole
from kerasprune.data.refusals import (
    Shape,
    beside_faults,
    check_arrays,
    check_ends,
    check_found,
    check_given,
    weight_faults,
)
from kerasprune.data.signature import Signature, inputs_of, is_graph, signature_of
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.built_model import fixed_batch
from kerasprune.graph.sizes import Size
from kerasprune.graph.walk import all_nodes

_BATCH = 32  # examples per batch of whole arrays


class Batch(NamedTuple):
    """Inputs, labels and sample weights (or `None`) of some examples, as `model.fit` takes them."""

    inputs: Any
    labels: Any
    weights: Any = None

    @property
    def size(self) -> int:
        """The number of examples."""
        return int(tree.flatten(self.inputs)[0].shape[0])


def batches(
    data: Any, model: keras.Model, most: int | None = None, uncut: Callable[[Batch], bool] = lambda batch: False
) -> Iterator[Batch]:
    """Yields labelled batches; the first is checked against the model.

    Args:
        data: Batches of `(inputs, labels)` or `(inputs, labels, weights)`: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, a list, or anything that yields them; or one such tuple of whole arrays, which is
            split into batches of 32.
        model: The model.
        most: Largest number of examples; the last batch is cut. Defaults to `None`, all.
        uncut: Whether rows of a batch belong together although the model takes one alone. Defaults to never.

    Raises:
        PruneError: The data are empty, endless or unlabelled, or do not fit the inputs of the model.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> x, y = np.zeros((8, 2)), np.zeros((8, 1))
        >>> [batch.size for batch in batches([(x, y), (x, y)], model, most=12)]
        [8, 4]
    """
    if most is None:
        check_ends(data)
    found = 0
    for batch in every_batch(data, model):
        if most is not None and found + batch.size > most:
            together = fixed_batch(model) or rows_belong_together(model, batch.inputs) or uncut(batch)
            if found and together:
                break
            batch = batch if together else Batch(*rows_of(tuple(batch), slice(most - found)))
        if batch.size:
            yield batch
        found += batch.size
        if most is not None and found >= most:
            break
    check_found(found)


def every_batch(data: Any, model: keras.Model) -> Iterator[Batch]:
    """Yields labelled batches as `batches` does, but accepts endless and empty data.

    Of a model that fixes the number, batches have it, and a remainder is left out.
    """
    check_given(data)
    signature, fixed = inputs_of(model), fixed_batch(model)
    number = len(signature.inputs)
    given = whole(data, number)
    at_once = fixed or uncut_rows(model, given, _BATCH) or _BATCH
    for place, parts in enumerate(parts_of(data, number, at_once)):
        batch = _batch(parts, signature)
        if given is not None or not place:
            _check(batch, signature, batch if given is None else Batch(*given))
        size = fixed or max(batch.size, 1)
        pieces = (rows_of(tuple(batch), slice(begin, begin + size)) for begin in range(0, max(batch.size, 1), size))
        yield from (part for part in map(Batch._make, pieces) if not fixed or part.size == fixed)


def rows_belong_together(model: keras.Model, inputs: Any) -> bool:
    """Returns whether a model takes a batch, but not its first row alone.

    Args:
        model: The model.
        inputs: The inputs of the batch: flat, or in a form that the model takes.

    Example:
        >>> import keras, numpy as np
        >>> nodes, edges = keras.Input((3,)), keras.Input((5,))
        >>> model = keras.Model([nodes, edges], keras.ops.matmul(edges, keras.layers.Dense(2)(nodes)))
        >>> rows_belong_together(model, [np.ones((5, 3)), np.eye(5)])
        True
    """
    if not is_graph(model) or row_count(inputs) < 2 or _takes_each_row(model):
        return False
    return not _runs(model, rows_of(inputs, slice(1))) and _runs(model, inputs)


def _takes_each_row(model: keras.Model) -> bool:
    """Returns whether no run is needed to know that a model takes a row alone: layers of Keras, on one input."""
    found, layer = [*inner_layers(model), *(node.operation for node in all_nodes(model))], keras.layers.Layer
    known = all(is_of_keras(type(each)) and isinstance(each, layer) for each in found)
    return len(model.inputs) == 1 and known and not any(isinstance(each, keras.layers.Lambda) for each in found)


@full_precision()
def _runs(model: keras.Model, inputs: Any) -> bool:
    signature = inputs_of(model)
    try:
        call_operation(model, signature.pack(signature.cast(signature.checked(inputs))), training=False)
    except Exception:  # noqa: BLE001, whatever layers raise
        return False
    return True


def uncut_rows(model: keras.Model, given: tuple | None, most: int) -> int | None:
    """Returns the number of rows of whole arrays if there are more than `most`, and they belong together."""
    rows = 0 if given is None else row_count(given[0])
    return rows if rows > most and rows_belong_together(model, given[0]) else None


def _batch(parts: tuple, signature: Signature) -> Batch:
    """Returns the parts as a batch; a dict or a list of inputs is packed into the nest that the model takes."""
    if len(parts) in (2, 3):
        inputs, *beside = parts
        if isinstance(inputs, Mapping | list):
            inputs = signature.pack(list(map(_array, signature.flatten(inputs))))
        check_arrays(tree.flatten(beside))
        return Batch(*tree.map_structure(_array, (inputs, *beside), none_is_leaf=False))
    check_arrays(tree.flatten(parts))
    kind = type(parts[0] if len(parts) == 1 else parts).__name__
    raise PruneError(
        f"Expected batches of (inputs, labels). Received: a batch of type {kind}. This criterion needs labels. Give "
        "arrays as a tuple, data=(x, y), and batches as a list of them, data=[(x, y), …]; x may be a dict."
    )


def _array(x: Any) -> Any:
    return x if ops.is_tensor(x) else np.asarray(x)


def _check(batch: Batch, signature: Signature, all_rows: Batch) -> None:
    """Raises if inputs do not fit the model, or labels and weights the inputs, by the shapes of all rows."""
    inputs, labels, weights = map(_shapes, (signature.flatten(all_rows.inputs), all_rows.labels, all_rows.weights))
    signature.checked(batch.inputs, inputs)
    faults = [fault for each in tree.flatten(batch.weights) for fault in weight_faults(each)]
    raise_faults("Invalid data:", faults + beside_faults(inputs, labels, [shape for shape in weights if shape]))


def _shapes(nest: Any) -> list[Shape]:
    return [tuple(np.shape(each)) for each in tree.flatten(nest) if each is not None]


FlatInputs = list[np.ndarray]
"""Some examples: one array per input of a model, in flat order."""
Batches = list[FlatInputs]
"""Batches of examples: for each, one array per input of a model, in flat order."""

_EXAMPLES_AT_ONCE = 128
_NUMBERS_AT_ONCE = 2**22  # entries per batch: larger examples come in smaller batches


def example_batches(model: keras.Model, data: Any, samples: int) -> Batches:
    """Returns the first examples of data, without labels.

    Args:
        model: The model.
        data: An array or a table of pandas, or a tuple, list or dict of these for several inputs; or batches: a
            `tf.data` data set, a data loader, a generator or a list, of inputs or `(inputs, labels, …)`. Labels are
            ignored.
        samples: Largest number of examples.

    Returns:
        Batches of at most 128 examples, or of the number that the model fixes, without a remainder, or those of the
        data if their rows belong together: one array per input, in flat order and in the type that the model takes.

    Raises:
        PruneError: The data do not fit the inputs, are empty, or hold something that is not a number.
    """
    parts: list[FlatInputs] = []
    count, fixed, signature = 0, fixed_batch(model), inputs_of(model) if fixed_batch(model) else signature_of(model)
    samples = max(samples, fixed or 0)
    at_once = fixed or uncut_rows(model, whole(data, len(signature.inputs)), min(samples, _EXAMPLES_AT_ONCE))
    together = None
    for arrays in flat_inputs(signature, data, at_once):
        cut = fixed is None and len(arrays[0]) > min(samples - count, _rows_at_once(array.shape for array in arrays))
        if cut and together is None:
            together = rows_belong_together(model, arrays)
        parts.append(arrays if together else [array[: samples - count] for array in arrays])
        count += len(parts[-1][0])
        if count >= samples:
            break
    check_found(count)
    regrouped = parts if together else _regrouped(parts, fixed)
    found = [batch for batch in regrouped if fixed is None or len(batch[0]) == fixed]
    if not found:
        raise PruneError(
            f"Expected at least {fixed} examples, which the inputs of {model.name!r} fix. Received: {count}. Give more."
        )
    return found


def flat_inputs(signature: Signature, data: Any, at_once: int | None = None) -> Iterator[FlatInputs]:
    """Yields the inputs of data, batch by batch: checked, and in the types that the model takes.

    Args:
        signature: The inputs of the model.
        data: As for `example_batches`.
        at_once: Rows of whole arrays in a batch, of which no others are read for it. Defaults to at most 128.

    Raises:
        PruneError: The data do not fit the inputs, or hold something that is not a number.
    """
    check_given(data)
    number, shapes = len(signature.inputs), None
    if (given := whole(data, number)) is not None:
        shapes = _shapes(signature.flatten(given[0]))
    for inputs, *_ in parts_of(data, number, at_once or _rows_at_once(shapes or [])):
        yield signature.cast(signature.checked(inputs, shapes))


def _rows_at_once(shapes: Iterable[Shape]) -> int:
    """Returns how many examples of these shapes fit into a batch."""
    return min(_EXAMPLES_AT_ONCE, max(_NUMBERS_AT_ONCE // max(sum(prod(shape[1:]) for shape in shapes), 1), 1))


def free_size(model: keras.Model, shapes: Iterable[Shape]) -> Size | None:
    """Returns the size that examples have along the axes that a model leaves free; `None` without any.

    Args:
        model: The model.
        shapes: The shapes of a batch, one for each of its inputs; with `None` for a length that changes, the result is
            `None`, too.

    Example:
        >>> import keras
        >>> free_size(keras.Sequential([keras.Input((None, 8)), keras.layers.Dense(2)]), [(32, 24, 8)])
        24
    """
    pairs = zip(model.inputs, shapes, strict=True)
    found = {
        maker(x).name: tuple(n for own, n in zip(x.shape[1:], shape[1:], strict=True) if own is None)
        for x, shape in pairs
    }
    numbers = {number for sides in found.values() for number in sides}
    if not numbers or None in numbers:
        return None
    if len(numbers) == 1 and len(found) == 1:
        return numbers.pop()
    return {name: sides for name, sides in found.items() if sides}


def _regrouped(parts: Batches, fixed: int | None) -> Iterator[FlatInputs]:
    """Yields the same examples in smaller batches: of a fixed number, or which fit into memory."""
    for batch in parts:
        size = fixed or _rows_at_once([array.shape for array in batch if len(array)])
        for begin in range(0, len(batch[0]), size):
            yield [array[begin : begin + size] for array in batch]
