"""Progress of a pruning: a line for every step and every epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras


def step_line(name: str, seconds: float) -> str:
    """Returns the line of a finished step.

    Example:
        >>> step_line("reconstruct", 12.34)
        'reconstruct: 12.3 s'
    """
    return f"{name}: {seconds:.1f} s"


def epoch_line(name: str, epoch: int, epochs: int, logs: Mapping[str, Any] | None) -> str:
    """Returns the line of a finished epoch.

    Example:
        >>> epoch_line("fine-tune", 1, 5, {"loss": 0.25})
        'fine-tune 1/5: loss 0.25'
    """
    return f"{name} {epoch}/{epochs}: {', '.join(f'{key} {float(value):.4g}' for key, value in (logs or {}).items())}"


class EpochLines(keras.callbacks.Callback):
    """Writes a line after every epoch to standard error.

    Args:
        name: The step.
        epochs: Number of epochs.
    """

    def __init__(self, name: str, epochs: int) -> None:
        super().__init__()
        self._name, self._epochs = name, epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the line."""
        print(epoch_line(self._name, epoch + 1, self._epochs, logs), file=sys.stderr, flush=True)


class Progress:
    """Writes progress to standard error, so that standard output holds only what a program prints itself.

    Args:
        verbose: 0 = silent, 1 = a line per step, 2 = also a line per epoch.
    """

    def __init__(self, verbose: int) -> None:
        self._verbose = verbose

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Writes how long a step took; on a terminal also its name, while it runs."""
        began = time.perf_counter()
        if self._verbose and sys.stderr.isatty():
            print(f"{name} …", end="\r", file=sys.stderr, flush=True)
        yield
        if self._verbose:
            print(step_line(name, time.perf_counter() - began), file=sys.stderr, flush=True)

    def callbacks(self, name: str, epochs: int) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of `fit` that write a line per epoch, if asked."""
        return [EpochLines(name, epochs)] if self._verbose > 1 else []
