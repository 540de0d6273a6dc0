"""Examples of a user's, in whatever form `fit` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError, short


class Examples:
    """Examples in any form that `fit` takes and that can be read again.

    Args:
        data: Arrays `(inputs, labels, …)` or inputs, or batches of these.
        batch: Examples per batch, of arrays.

    Raises:
        PruneError: The data can be read only once.
    """

    def __init__(self, data: Any, batch: int) -> None:
        if isinstance(data, Iterator):
            raise PruneError(
                f"Expected data that can be read several times. Received: {short(data)}, which is used up by the first "
                "reading. Give arrays, a tf.data.Dataset or a keras.utils.PyDataset."
            )
        self.data, self.batch = data, batch
        self.arrays = isinstance(data, tuple | Mapping) or keras.ops.is_tensor(data) or isinstance(data, np.ndarray)

    @property
    def labelled(self) -> bool:
        """Whether there are labels beside the inputs."""
        first = self.data if self.arrays else next(iter(self.batches()), ())
        return isinstance(first, tuple | list) and len(first) > 1

    def batches(self) -> Any:
        """Returns what yields batches `(inputs, labels)`, or inputs."""
        if isinstance(self.data, keras.utils.PyDataset):
            return [self.data[index] for index in range(self.data.num_batches)]
        if not self.arrays:
            return self.data
        data = self.data if isinstance(self.data, tuple) else (self.data,)
        starts = range(0, len(keras.tree.flatten(data)[0]), self.batch)
        cut = [keras.tree.map_structure(lambda x, s=start: x[s : s + self.batch], data) for start in starts]
        return cut if len(data) > 1 else [each[0] for each in cut]

    def fit_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `fit` and `evaluate`."""
        if not self.arrays:
            return {"x": self.data}
        parts = self.data if isinstance(self.data, tuple) else (self.data,)
        return {**dict(zip(("x", "y", "sample_weight"), parts, strict=False)), "batch_size": self.batch}

    def validation_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `fit` that validate on these examples."""
        return {"validation_data": self.data, **({"validation_batch_size": self.batch} if self.arrays else {})}

    def steps(self) -> int:
        """Returns the number of batches."""
        batches = self.batches()
        try:
            return len(batches)
        except TypeError:  # a set of unknown length
            return sum(1 for _ in batches)
