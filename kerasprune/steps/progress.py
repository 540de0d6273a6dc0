"""Progress of a pruning: a line for every step and every epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from kerasprune.progress import ProgressLine, epoch_line, is_renewed, say, step_line, stream


class EpochLines(keras.callbacks.Callback):
    """Writes a line after every epoch.

    Args:
        name: The step.
        epochs: Number of epochs.
    """

    def __init__(self, name: str, epochs: int) -> None:
        super().__init__()
        self._name, self._epochs = name, epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the line."""
        say(epoch_line(self._name, epoch + 1, self._epochs, logs))


class EpochProgress(keras.callbacks.Callback):
    """Says now and then how many epochs are done.

    Args:
        name: The step.
        epochs: Number of epochs.
    """

    def __init__(self, name: str, epochs: int) -> None:
        super().__init__()
        self._line = ProgressLine(name, epochs, "epochs", verbose=1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Renews the line."""
        self._line.write(epoch + 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Takes the line away."""
        self._line.close()


class Progress:
    """Writes the progress of steps.

    Args:
        verbose: 0 = silent, 1 = a line per step, 2 = also a line per epoch.
    """

    def __init__(self, verbose: int) -> None:
        self._verbose = verbose

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Writes how long a step took; where a line can be renewed also its name, while it runs."""
        began = time.perf_counter()
        if self._verbose and is_renewed():
            print(f"{name} …", end="\r", file=stream(), flush=True)
        yield
        if self._verbose:
            say(step_line(name, time.perf_counter() - began))

    def callbacks(self, name: str, epochs: int) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of `fit` that write how far it is."""
        return [(EpochLines if self._verbose > 1 else EpochProgress)(name, epochs)] if self._verbose else []
