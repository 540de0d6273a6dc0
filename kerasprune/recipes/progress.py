"""Keras callbacks that only look: rows for `metrics.csv`, filter norms, the time that is left."""

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

from kerasprune.attaching.callback import PruningCallback, facts
from kerasprune.attaching.session import State
from kerasprune.criteria.base import channel_sums, numbers
from kerasprune.graph.graph import ChannelGraph
from kerasprune.recipes.schema import Recipe
from kerasprune.reports.numbers import duration
from kerasprune.steps.progress import epoch_line
from kerasprune.surgery.rebuild import along

FITS = ("train", "prune", "finetune")


@dataclass(frozen=True)
class Ahead:
    """The fits that follow a stage.

    Args:
        epochs: Their epochs, of those whose number is known.
        whole: Whether all are known: a callback may train as long as its own schedule takes, and what judges slim
            models takes several fits, or searches.
    """

    epochs: int
    whole: bool

    @classmethod
    def of(cls, recipe: Recipe, stage: str) -> Ahead:
        """Returns what follows a stage of a recipe.

        Example:
            >>> from kerasprune.recipes import loader
            >>> recipe = loader.load("digits-greg1")
            >>> Ahead.of(recipe, "train"), Ahead.of(recipe, "finetune")
            (Ahead(epochs=30, whole=False), Ahead(epochs=0, whole=True))
        """
        later = [_epochs(recipe, name) for name in FITS[FITS.index(stage) + 1 :]]
        several = stage == "prune" and recipe.prune is not None and recipe.prune.judged is not None
        return cls(sum(filter(None, later)), None not in later and not several)

    def said(self, here: int, seconds: float) -> str:
        """Returns how long the training of the run still takes, nothing where it is over.

        Args:
            here: Epochs that are left of the fit under way.
            seconds: How long an epoch of it takes; those that follow are taken to be as long.

        Example:
            >>> Ahead(epochs=30, whole=True).said(10, 6.0), Ahead(epochs=0, whole=True).said(0, 6.0)
            ('run: about 4 min of training left', '')
        """
        left = (here + self.epochs) * seconds
        if not here + self.epochs:
            return ""
        return f"run: {'about' if self.whole else 'at least'} {duration(left)} of training left"


def _epochs(recipe: Recipe, stage: str) -> int | None:
    """Returns how many epochs a stage trains, `None` where that is not known before."""
    spec = getattr(recipe, stage)
    if spec is None:
        return 0
    if stage == "prune":
        at_once = spec.callback is None and spec.judged is None
        return 0 if at_once else spec.epochs if spec.judged is None else None
    return spec.epochs


Row = Mapping[str, Any]


class Metrics(keras.callbacks.Callback):
    """Hands on the rows of all epochs so far after every epoch.

    Args:
        write: Called with the list of rows: `epoch`, the logs of Keras, `learning_rate` where the epoch began,
            `seconds`.
        rows: Those of the epochs before, where a fit goes on. Defaults to none.
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


class FilterNorms(PruningCallback):
    """Takes the L1 norms of the channels of every prunable group, at the start and then every so many steps.

    A norm is the sum of the absolute values that make the channel, over all kernels of its group; or that read it,
    where those are what a callback pushes.

    Args:
        graph: The graph of the model in training.
        every: Steps between two looks.
        callback: The callback that begins before this one. Defaults to `None`: filters.
    """

    def __init__(self, graph: ChannelGraph, every: int, callback: keras.callbacks.Callback | None = None) -> None:
        super().__init__()
        self._callback = facts(callback)
        self.graph = graph
        self.every = every
        self.steps: list[int] = []
        self._seen: list[dict[str, np.ndarray]] = []
        self._step = 0

    def begin(self) -> None:
        """Takes the norms before the first step."""
        self._step, self.steps, self._seen = 0, [], []
        self._look()

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:
        self._step += 1
        if self._step % self.every == 0:
            self._look()

    def end(self) -> None:
        """Takes the norms after the last step."""
        if self.steps[-1] != self._step:
            self._look()

    def state(self) -> State:
        """Returns what was taken so far."""
        return {**super().state(), "step": np.asarray(self._step), **self.arrays()}

    def restore(self, state: State) -> None:
        """Goes on from what was taken."""
        super().restore(state)
        self._step, self.steps = int(state["step"]), [int(step) for step in state["steps"]]
        names = list(self.graph.prunable)
        self._seen = [{name: state[name][row] for name in names} for row in range(len(self.steps))]

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns `{"steps": (times,), group: (times, filters), …}`."""
        names = self._seen[0] if self._seen else {}
        norms = {name: np.stack([seen[name] for seen in self._seen]) for name in names}
        return {"steps": np.asarray(self.steps), **norms}

    def _look(self) -> None:
        # On JAX the variables are fresh only after the model has been asked for.
        _ = self.model
        self.steps.append(self._step)
        self._seen.append(channel_norms(self.graph, self._callback.pushes))


def channel_norms(graph: ChannelGraph, pushed: str = "filter") -> dict[str, np.ndarray]:
    """Returns the L1 norm of each channel of every prunable group, `{group name: (channels,)}`.

    Args:
        graph: The graph.
        pushed: Of the weights that make a channel, `"filter"`, of those that read it, `"channel"`, or of its
            scales, `"scale"`. Defaults to `"filter"`.
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
            self._step = epoch * self.params["steps"]  # a fit that goes on begins with another epoch

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:
        self._step += 1
        if self._step >= self.steps:
            self.model.stop_training = True


class Terminal(keras.callbacks.Callback):
    """Shows a fit on the terminal: a bar where it is one, a line per epoch where it is a file.

    Args:
        console: Where to write.
        stage: What is running, e.g. `"train"`.
        epochs: Number of epochs.
        ahead: What the run trains afterwards. Defaults to `None`: how long the run takes is not said.
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
        """Says how long the run still trains, where that can be told; the first epoch compiles, and weighs no more."""
        self._seconds.append(time.perf_counter() - self._began)
        return "" if self.ahead is None else self.ahead.said(self.epochs - epoch - 1, median(self._seconds))

    def on_train_end(self, logs: Row | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Gives the terminal back, also where the fit was interrupted."""
        if self._bar is not None:
            self._bar.stop()
