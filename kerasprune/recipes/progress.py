"""Keras callbacks that observe a fit: rows for `metrics.csv`, channel norms, progress on the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasprune.callbacks.norm_history import NormHistory
from kerasprune.criteria.base import channel_sums, numbers
from kerasprune.graph.graph import ChannelGraph
from kerasprune.progress import duration, epoch_line
from kerasprune.recipes.schema import Recipe
from kerasprune.surgery.rebuild import along
from kerasprune.training.callback import facts

FITS = ("train", "prune", "finetune")


@dataclass(frozen=True)
class Ahead:
    """The fits that follow a stage.

    Args:
        epochs: Their epochs, of those whose number is known.
        whole: Whether all are known: the length of a callback's own schedule is not, nor that of a search.
    """

    epochs: int
    whole: bool

    @classmethod
    def of(cls, recipe: Recipe, stage: str) -> Ahead:
        """Returns the fits after a stage of a recipe.

        Example:
            >>> from kerasprune.recipes import loader
            >>> recipe = loader.load("digits-greg1")
            >>> Ahead.of(recipe, "train"), Ahead.of(recipe, "finetune")
            (Ahead(epochs=12, whole=False), Ahead(epochs=0, whole=True))
        """
        later = [_epochs(recipe, name) for name in FITS[FITS.index(stage) + 1 :]]
        several = stage == "prune" and recipe.prune is not None and recipe.prune.judged
        return cls(sum(filter(None, later)), None not in later and not several)

    def estimate(self, here: int, seconds: float) -> str:
        """Returns the time that the training of the run still takes, as text; empty at its end.

        Args:
            here: Remaining epochs of the current fit.
            seconds: Time of one of its epochs; later fits are assumed to take as long.

        Example:
            >>> Ahead(epochs=30, whole=True).estimate(10, 6.0), Ahead(epochs=0, whole=True).estimate(0, 6.0)
            ('run: about 4 min of training left', '')
        """
        left = (here + self.epochs) * seconds
        if not here + self.epochs:
            return ""
        return f"run: {'about' if self.whole else 'at least'} {duration(left)} of training left"


def _epochs(recipe: Recipe, stage: str) -> int | None:
    """Returns the number of epochs of a stage, `None` if it is unknown in advance."""
    spec = getattr(recipe, stage)
    if spec is None:
        return 0
    if stage == "prune":
        if spec.judged:
            return None
        return 0 if spec.callback is None else spec.epochs
    return spec.epochs


Row = Mapping[str, Any]


class Metrics(keras.callbacks.Callback):
    """Passes the rows of all epochs so far to a function after every epoch.

    Args:
        write: Called with the list of rows: `epoch`, the logs of Keras, `learning_rate` at the beginning of
            the epoch, `seconds`.
        rows: Those of the epochs before, if a fit is resumed. Defaults to none.
    """

    def __init__(self, write: Callable[[list[Row]], None], rows: Sequence[Row] = ()) -> None:
        super().__init__()
        self.write = write
        self.rows: list[Row] = list(rows)
        self._began = 0.0
        self._rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: Row | None = None) -> None:
        self._began = time.perf_counter()
        self._rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        seconds = round(time.perf_counter() - self._began, 3)
        self.rows.append({"epoch": epoch + 1, **values, "learning_rate": self._rate, "seconds": seconds})
        self.write(self.rows)


class FilterNorms(NormHistory):
    """The L1 norms of the channels of every prunable group: at the start, every so many steps, and at the end.

    A norm is the sum of the absolute values of the weights that make the channel, over all kernels of its group; or
    of those that another callback pushes: the weights that read it, or its scales.

    Args:
        graph: The graph of the model in training.
        every: Steps between two measurements.
        callback: The callback whose weights are followed. Defaults to `None`: filters.
    """

    def __init__(self, graph: ChannelGraph, every: int, callback: keras.callbacks.Callback | None = None) -> None:
        super().__init__(every)
        self._graph = graph
        self._callback = facts(callback)

    def begin(self) -> None:
        """Measures the norms before the first step."""
        self._look()

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns `{"steps": (times,), group: (times, channels), …}`."""
        return {"steps": self.steps, **self.norms}

    def _scores(self) -> dict[str, np.ndarray]:
        return channel_norms(self._graph, self._callback.pushes)


def channel_norms(graph: ChannelGraph, pushed: str = "filter") -> dict[str, np.ndarray]:
    """Returns the L1 norm of each channel of every prunable group, `{group name: (channels,)}`.

    Args:
        graph: The graph.
        pushed: The weights that are summed: those that make a channel, `"filter"`; those that read it, `"channel"`;
            or its scales, `"scale"`. Defaults to `"filter"`.
    """
    sums = channel_sums(graph, along(graph, pushed), lambda entry: np.abs(numbers(entry)))
    return {name: sums.get(name, np.zeros(group.size)) for name, group in graph.prunable.items()}


class StopAfter(keras.callbacks.Callback):
    """Stops a fit after a number of steps.

    Args:
        steps: The number of steps.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._step = 0

    def on_train_begin(self, logs: Row | None = None) -> None:
        self._step = 0

    def on_epoch_begin(self, epoch: int, logs: Row | None = None) -> None:
        if self.params.get("steps"):
            self._step = epoch * self.params["steps"]  # a resumed fit begins with a later epoch

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:
        self._step += 1
        if self._step >= self.steps:
            self.model.stop_training = True


class Terminal(keras.callbacks.Callback):
    """Shows the progress of a fit: a bar on a terminal, a line per epoch in a file.

    Args:
        console: The terminal or file.
        stage: Name of the stage, e.g. `"train"`.
        epochs: Number of epochs.
        ahead: The fits that follow. Defaults to `None`: no remaining time is shown.
    """

    def __init__(self, console: Console, stage: str, epochs: int, ahead: Ahead | None = None) -> None:
        super().__init__()
        self.console = console
        self.stage = stage
        self.epochs = epochs
        self.ahead = ahead
        self._seconds: list[float] = []
        self._began = 0.0
        self._bar: Progress | None = None
        self._task: Any = None

    def on_train_begin(self, logs: Row | None = None) -> None:
        self._seconds = []
        if not self.console.is_terminal:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[measures]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[run]}"),
        )
        self._bar = Progress(*columns, console=self.console, transient=True)
        total = self.epochs * self.params["steps"] if self.params.get("steps") else None
        self._task = self._bar.add_task(self.stage, total=total, measures="", run="")
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Row | None = None) -> None:
        self._began = time.perf_counter()
        if self._bar is not None and self.params.get("steps"):
            self._bar.update(self._task, completed=epoch * self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:
        line, run = epoch_line(self.stage, epoch + 1, self.epochs, logs), self._left(epoch)
        if self._bar is not None:
            done, _, measures = line.partition(": ")
            self._bar.update(self._task, description=done, measures=measures, run=run)
        else:
            self.console.print(f"{line}{'; ' if run else ''}{run}", highlight=False, soft_wrap=True)

    def _left(self, epoch: int) -> str:
        """Returns the remaining time; the median, since the first epoch compiles."""
        self._seconds.append(time.perf_counter() - self._began)
        return "" if self.ahead is None else self.ahead.estimate(self.epochs - epoch - 1, median(self._seconds))

    def on_train_end(self, logs: Row | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Restores the terminal, also after an interrupted fit."""
        if self._bar is not None:
            self._bar.stop()
