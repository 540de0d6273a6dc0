"""Sparsity, penalty strength and fraction kept, where people look while they train: progress bar, CSV, TensorBoard."""

from __future__ import annotations

import csv as csv_format
import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.callbacks.resumable import Resumable, company
from kerasprune.callbacks.table import callbacks
from kerasprune.errors import PruneError


@callbacks.add("sparsity")
class Sparsity(Resumable):
    """Adds to the logs of every epoch: `sparsity`, the share of zeros among the kernels' weights, and what the other
    callbacks of the fit are at (`kept`, `λ`). Keras shows logs in the progress bar and in `History`.

    Stand it before callbacks that are to see these logs, such as `CSVLogger`.

    Args:
        csv: A file to which every epoch adds a line, the zeros of each kernel included. A file that is there is
            continued where its columns are the same. Defaults to none.
        tensorboard: A folder for scalars and histograms of the kernels; needs the extra `tensorboard`. Defaults to
            none.

    Raises:
        PruneError: The CSV file is there with other columns.

    Example:
        >>> callback = Sparsity()
    """

    def __init__(self, csv: str | Path | None = None, tensorboard: str | Path | None = None) -> None:
        super().__init__()
        self.csv = None if csv is None else Path(csv)
        self.tensorboard = None if tensorboard is None else str(tensorboard)
        self._writer: Any = None

    def begin(self) -> None:
        """Checks the file, and opens the folder."""
        if self.csv is not None and self.csv.exists():
            head = self.csv.read_text(encoding="utf-8").splitlines()[:1]
            known = ["epoch", "sparsity"]
            if not head or head[0].split(",")[:2] != known:
                raise PruneError(
                    f"Expected a file of this callback, with the columns epoch, sparsity, … Received: {self.csv}, "
                    "which is another file. Give another path."
                )
        if self.tensorboard is not None:
            if importlib.util.find_spec("tensorboard") is None:
                raise PruneError(
                    f"Expected tensorboard beside tensorboard={self.tensorboard!r}. Received: an environment without "
                    "it. Install it with: pip install 'kerasprune[tensorboard]'"
                )
            import tensorflow as tf

            self._writer = tf.summary.create_file_writer(self.tensorboard)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds to the logs, the file and the folder."""
        kernels = zeros(self.model)
        total = sum(size for _, size in kernels.values())
        found = {"sparsity": sum(zero for zero, _ in kernels.values()) / max(total, 1)}
        for callback in company(self.model):
            found.update(callback.gauges())
        if logs is not None:
            logs.update(found)
        if self.csv is not None:
            self._append({"epoch": epoch, **found, **{path: zero / size for path, (zero, size) in kernels.items()}})
        if self._writer is not None:
            self._summarise(epoch, found)

    def end(self) -> None:
        """Closes the folder."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _append(self, row: dict[str, Any]) -> None:
        new = not self.csv.exists()
        self.csv.parent.mkdir(parents=True, exist_ok=True)
        with self.csv.open("a", newline="", encoding="utf-8") as file:
            writer = csv_format.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def _summarise(self, epoch: int, found: dict[str, float]) -> None:
        import tensorflow as tf

        with self._writer.as_default(step=epoch):
            for name, value in found.items():
                tf.summary.scalar(name, value)
            for variable in _kernels(self.model):
                tf.summary.histogram(variable.path, ops.convert_to_numpy(variable))


def zeros(model: keras.Model) -> dict[str, tuple[int, int]]:
    """Returns `{variable path: (zeros, weights)}` of the kernels: the weights with at least two axes."""
    counts = {}
    for variable in _kernels(model):
        values = ops.convert_to_numpy(variable)
        counts[variable.path] = (int(values.size - np.count_nonzero(values)), int(values.size))
    return counts


def _kernels(model: keras.Model) -> list[Any]:
    return [variable for variable in model.weights if len(variable.shape) >= 2]
