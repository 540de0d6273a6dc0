"""Holds out a tenth of a user's examples, to evaluate on data that no step has seen; keeps batches whole for it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import row_count, rows_of
from kerasprune.data.batches import rows_belong_together
from kerasprune.data.examples import Examples
from kerasprune.data.stored_rows import StoredRows

SHARE = 10


def held_out(examples: Examples, seed: int = 0) -> tuple[Examples, Examples] | None:
    """Splits examples into nine tenths and one tenth.

    The tenth of arrays, also of those in files, is drawn at random; of a `tf.data.Dataset` or a
    `keras.utils.PyDataset` it is every tenth batch.

    Args:
        examples: The examples.
        seed: Random seed. Defaults to 0.

    Returns:
        Both parts; `None` for a single example or batch, for batches whose order changes, and for other data sets.

    Example:
        >>> import numpy as np
        >>> from kerasprune.data.examples import Examples
        >>> kept, tenth = held_out(Examples((np.arange(50.0), np.arange(50))))
        >>> len(kept.labels), len(tenth.labels), set(kept.labels) & set(tenth.labels)
        (45, 5, set())
    """
    stored = isinstance(examples.data, StoredRows)
    if examples.arrays or stored:
        count, _ = examples.count()
        order, whole = np.random.default_rng(seed).permutation(count), examples.fixed or 1
        tenth = max(1, count // SHARE // whole) * whole
        if count == tenth:
            return None
        rows = [np.sort(order[tenth:]), np.sort(order[:tenth])]
        parts = [examples.data.part(each) if stored else _rows(examples.data, each) for each in rows]
        return tuple(Examples(part, examples.batch, fixed=examples.fixed) for part in parts)
    if isinstance(examples.data, keras.utils.PyDataset):
        parts = _of_py_dataset(examples.data)
    else:
        parts = _of_dataset(examples.data, examples.steps())
    return parts and tuple(Examples(part, examples.batch, fixed=examples.fixed) for part in parts)


def _rows(data: Any, numbers: np.ndarray) -> Any:
    """Returns the rows of these numbers of all arrays."""
    return keras.tree.map_structure(
        lambda x: keras.ops.take(x, numbers, axis=0) if keras.ops.is_tensor(x) else x[numbers], data, none_is_leaf=False
    )


def _tenth(number: Any, count: int) -> Any:
    """Returns whether a batch is held out: the last of every ten, or of all if there are fewer."""
    return number % SHARE == min(SHARE, count) - 1


class SomeBatches(keras.utils.PyDataset):
    """Some batches of a data set.

    Args:
        whole: The data set.
        numbers: The numbers of the batches.
    """

    def __init__(self, whole: keras.utils.PyDataset, numbers: list[int]) -> None:
        super().__init__(whole.workers, whole.use_multiprocessing, whole.max_queue_size)
        self._whole, self._numbers = whole, numbers

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> Any:
        return self._whole[self._numbers[index]]


def _of_py_dataset(data: keras.utils.PyDataset) -> list[SomeBatches] | None:
    count = data.num_batches
    if count is None or count < 2 or type(data).on_epoch_end is not keras.utils.PyDataset.on_epoch_end:
        return None
    tenths = [_tenth(number, count) for number in range(count)]
    return [SomeBatches(data, [n for n, tenth in enumerate(tenths) if tenth is held]) for held in (False, True)]


def _of_dataset(data: Any, count: int) -> list[Any] | None:
    if count < 2 or not hasattr(data, "enumerate") or not same_again(data):
        return None
    from kerasprune.backend.reader import tf

    tenths = [_tenth(number, count) for number in range(count)]

    def part(held: bool) -> Any:
        some = data.enumerate().filter(lambda number, *_: _tenth(number, count) == held)
        return some.map(lambda _, batch: batch).apply(tf.data.experimental.assert_cardinality(tenths.count(held)))

    return [part(False), part(True)]


def same_again(data: Any, most: int = 1) -> bool:
    """Returns whether a `tf.data.Dataset` begins with the same elements when it is read again.

    Args:
        data: The data set.
        most: Number of elements that are compared. Defaults to 1.
    """
    pairs = zip(data.take(most), data.take(most), strict=False)
    both = ([map(np.asarray, keras.tree.flatten(each)) for each in pair] for pair in pairs)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for pair in both for a, b in zip(*pair, strict=True))


def kept_whole(examples: Examples, model: keras.Model) -> Examples:
    """Returns arrays whose rows belong together as batches of them, or as one of all rows; others as they are.

    Args:
        examples: The examples.
        model: The model that takes them.
    """
    rows = row_count(examples.data) if examples.arrays else 0
    for size in sorted({min(examples.batch, rows), rows}):
        if examples.arrays and rows_belong_together(model, rows_of(examples.inputs, slice(size))):
            return whole_batches(examples, size)
    return examples


def whole_batches(examples: Examples, size: int) -> Examples:
    """Returns arrays as batches of a number of rows in their order; rows that do not fill a batch are left out.

    Args:
        examples: The examples, arrays in memory or in files.
        size: Rows of a batch.
    """
    data = examples.data.arrays if isinstance(examples.data, StoredRows) else examples.data
    parts = data if isinstance(data, tuple) else (data,)
    parts = tuple(tuple(each) if isinstance(each, list) else each for each in parts)  # as tf.data takes them
    batches = StoredRows(parts, size)
    return Examples(SomeBatches(batches, [*range(examples.count()[0] // size)]), size)
