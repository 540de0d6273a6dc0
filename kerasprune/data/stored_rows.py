"""Arrays that lie in files, in batches that are read when they are asked for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import as_numpy, row_count


class StoredRows(keras.utils.PyDataset):
    """Batches of arrays, some of which lie in files, each read when it is asked for.

    Args:
        arrays: Arrays as `fit` takes them, `(inputs, labels, …)` or inputs.
        batch: Rows per batch.
        rows: The numbers of the rows, in order. Defaults to all.
    """

    def __init__(self, arrays: Any, batch: int, rows: np.ndarray | None = None) -> None:
        super().__init__()
        self.arrays, self.batch = arrays, batch
        self.rows = np.arange(row_count(arrays)) if rows is None else rows

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return -(-len(self.rows) // self.batch)

    def __getitem__(self, index: int) -> Any:
        rows = self.rows[self.batch * index : self.batch * (index + 1)]
        return keras.tree.map_structure(lambda x: read_rows(x, rows), self.arrays, none_is_leaf=False)

    def part(self, places: np.ndarray) -> StoredRows:
        """Returns the rows at these places."""
        return StoredRows(self.arrays, self.batch, self.rows[places])


class ShuffledRows(StoredRows):
    """Batches of the same rows in another order in every epoch, each of one size; the remainder is left out.

    Args:
        whole: The rows.
        seed: Determines the orders.
    """

    def __init__(self, whole: StoredRows, seed: int) -> None:
        batch = min(whole.batch, len(whole.rows) or 1)
        super().__init__(whole.arrays, batch, np.random.default_rng([seed, 0]).permutation(whole.rows))
        self._seed, self._epoch, self._all = seed, 0, whole.rows

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return len(self.rows) // self.batch

    def on_epoch_end(self) -> None:
        """Takes the order of the next epoch."""
        self._epoch += 1
        self.rows = np.random.default_rng([self._seed, self._epoch]).permutation(self._all)


def read_rows(array: Any, rows: np.ndarray) -> np.ndarray:
    """Returns rows of an array, read run by run of consecutive ones; float64 as float32.

    Args:
        array: The array, of which slices can be taken.
        rows: Their numbers, each once, in any order.

    Example:
        >>> import numpy as np
        >>> read_rows(np.arange(10), np.array([7, 2, 3])).tolist()
        [7, 2, 3]
    """
    order = np.argsort(rows)
    runs = np.split(rows[order], np.flatnonzero(np.diff(rows[order]) > 1) + 1)
    found = [as_numpy(array[run[0] : run[-1] + 1]) for run in runs]
    joined = found[0] if len(found) == 1 else np.concatenate(found)
    joined = joined.astype("float32") if joined.dtype == np.float64 else joined
    return joined if np.array_equal(order, np.arange(len(rows))) else joined[np.argsort(order)]
