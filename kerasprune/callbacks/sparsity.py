"""Logs sparsity, penalty strength and fraction kept: progress bar, logs, a CSV file."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import ops

from kerasprune.errors import PruneError
from kerasprune.files import read_rows, write_rows
from kerasprune.graph.graph import weight_paths
from kerasprune.training.callback import PruningCallback
from kerasprune.training.fit import RunningFit


class Sparsity(PruningCallback):
    """Adds the share of zero weights to the logs of every epoch, and so to the progress bar and to `History`.

    The log is called `sparsity`. The gauges of the other callbacks of the fit (`kept`, `penalty_strength`) are added
    too. List it before the callbacks that should receive these logs, such as `keras.callbacks.CSVLogger` or
    `keras.callbacks.TensorBoard(folder, histogram_freq=1)`, which plots them as scalars next to histograms of the
    weights.

    Args:
        path: A CSV file to which every epoch adds a line, including the share of zeros of each kernel. If the file
            exists it is continued, with new columns for new gauges. Defaults to none.

    Raises:
        PruneError: The CSV file exists and was not written by this callback.

    Example:
        >>> callback = Sparsity()
    """

    follows_weights = True

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        self.path = None if path is None else Path(path)

    def begin(self) -> None:
        """Checks the file."""
        if self.path is not None and self.path.exists():
            head = self.path.read_text(encoding="utf-8").splitlines()[:1]
            if not head or head[0].split(",")[:2] != ["epoch", "sparsity"]:
                raise PruneError(
                    f"Expected a file of this callback, with the columns epoch, sparsity, … Received: {self.path}, "
                    "which is another file. Give another path."
                )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds to the logs and the file."""
        kernels = zeros(self.model)
        total = sum(size for _, size in kernels.values())
        found = {"sparsity": sum(zero for zero, _ in kernels.values()) / max(total, 1)}
        for callback in RunningFit.of(self.model).callbacks:
            found.update(callback.gauges())
        if logs is not None:
            logs.update(found)
        if self.path is not None:
            row = {"epoch": epoch, **found, **{path: zero / size for path, (zero, size) in kernels.items()}}
            write_rows(self.path, [*read_rows(self.path), row])
        super().on_epoch_end(epoch, logs)


def zeros(model: keras.Model) -> dict[str, tuple[int, int]]:
    """Returns `{variable path: (zeros, weights)}` of the kernels: the weights with at least two axes."""
    paths = weight_paths(model)
    arrays = ((paths[id(v)], ops.convert_to_numpy(v)) for v in model.weights if len(v.shape) >= 2)
    return {path: (int(values.size - np.count_nonzero(values)), int(values.size)) for path, values in arrays}
