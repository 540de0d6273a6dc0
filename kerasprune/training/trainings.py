"""Trainings of one model by a user's function: from given weights, under masks, as parts of one schedule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import raw_iterations
from kerasprune.errors import PruneError
from kerasprune.surgery.clone import copy_model
from kerasprune.surgery.compiled import inner_optimizer
from kerasprune.training.masks import apply_masks, hold_masks
from kerasprune.training.rewinding import rewind_optimizer
from kerasprune.training.schedules import Moment

Fit = Callable[..., float]
"""`fit(model, *, resolution, epochs, seed, initial_epoch) -> accuracy`: trains a model in place."""


@dataclass(frozen=True)
class SchedulePlace:
    """Weights in the middle of a schedule.

    Args:
        epoch: The epoch, from 0.
        step: Steps of this epoch that are done.
        weights: The weights, in the order of `model.get_weights()`.
    """

    epoch: int
    step: int
    weights: Sequence[np.ndarray]


class Trainings:
    """A copy of a model that is trained repeatedly by a user's function.

    Args:
        model: The model; it is left untouched.
        fit: Trains a model in place from `initial_epoch` up to `epochs`.
    """

    def __init__(self, model: keras.Model, fit: Fit) -> None:
        self.model = copy_model(model)
        self._fit = fit

    def run(self, start: SchedulePlace, last: int, seed: int, masks: Mapping[str, np.ndarray]) -> float:
        """Trains from a place to the end of an epoch, removed weights held at zero; returns its accuracy.

        If the place is within an epoch, the steps before it are taken too, and undone: what counts them, such as a
        schedule of the learning rate, is where it belongs.
        """
        self.model.set_weights(start.weights)
        apply_masks(self.model, masks)
        begin = _BeginAt(start.epoch, start.step, self.model.get_weights())
        with hold_masks(self.model, masks), watched(self.model, [begin] if start.step else []):
            found = self._fit(self.model, resolution=None, epochs=last, seed=seed, initial_epoch=start.epoch)
        if start.step and not begin.reached:
            raise _never_there(f"step {start.step} of epoch {start.epoch}")
        return found

    def reach(self, start: Sequence[np.ndarray], moment: Moment, epochs: int, seed: int) -> SchedulePlace:
        """Trains from the first weights of a schedule to a point in it, which is returned.

        Args:
            start: The weights at the beginning.
            moment: The point.
            epochs: Epochs of the schedule.
            seed: Passed to the function.

        Raises:
            PruneError: The point is not reached.
        """
        first = SchedulePlace(0, 0, start)
        if not moment.iterations:
            if moment.epochs:
                self.run(first, moment.epochs, seed, {})
            return SchedulePlace(moment.epochs, 0, self.model.get_weights() if moment.epochs else start)
        stop = _StopAt(moment)
        with watched(self.model, [stop]):
            self.run(first, epochs, seed, {})
        if stop.place is None:
            raise _never_there(str(moment))
        return stop.place


@contextmanager
def watched(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Adds callbacks to every `model.fit` within the block."""
    if not callbacks:
        yield
        return
    fit = model.fit
    signature = inspect.signature(fit)
    rest = [each.name for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD]

    def with_callbacks(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        named = "callbacks" in signature.parameters
        given = bound.arguments if named else bound.arguments.setdefault(rest[0], {})  # a class with its own fit
        given["callbacks"] = [*tree.flatten(given.get("callbacks") or []), *callbacks]
        return fit(*bound.args, **bound.kwargs)

    model.fit = with_callbacks
    try:
        yield
    finally:
        del model.fit


class _StopAt(keras.callbacks.Callback):
    """Stops a training at a point, and notes it.

    Args:
        moment: The point.
    """

    def __init__(self, moment: Moment) -> None:
        super().__init__()
        self.place: SchedulePlace | None = None
        self._moment, self._epoch, self._before, self._now = moment, 0, 0, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._before = epoch, self._now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.place is not None or self._epoch < self._moment.epochs:
            return
        self._now = self._before + batch + 1
        if self._now == self._moment.iterations:
            whole = self.params.get("steps") == batch + 1
            epoch, step = (self._epoch + 1, 0) if whole else (self._epoch, batch + 1)
            self.place = SchedulePlace(epoch, step, self.model.get_weights())
        if self._now >= self._moment.iterations:
            self.model.stop_training = True


class _BeginAt(keras.callbacks.Callback):
    """Sets the weights of a model, and fresh slots of its optimizer, after some steps of an epoch.

    Args:
        epoch: The epoch.
        step: Number of steps of it.
        weights: The weights.
    """

    def __init__(self, epoch: int, step: int, weights: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.reached = False
        self._place, self._here, self._weights = (epoch, step), 0, weights

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._here = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self._here, batch + 1) == self._place and not self.reached:
            model = self.model
            model.set_weights(self._weights)
            rewind_optimizer(model, int(raw_iterations(inner_optimizer(model.optimizer))))
            self.reached = True


def _never_there(what: str) -> PruneError:
    return PruneError(
        f"Expected a training that comes to {what} in steps of model.fit. Received: one that ended before, does not "
        "use model.fit, or jumped over it by steps_per_execution. Take another point, or one in epochs such as '2ep'."
    )


def fit_faults(fit: Any) -> list[str]:
    """Returns a fault if a function cannot be called as a `Fit` is."""
    try:
        signature = inspect.signature(fit)
    except (TypeError, ValueError):  # no function; or one in C, which reports its arguments by failing
        return [] if callable(fit) else [f"Expected a function that trains. Received: fit={fit!r}."]
    try:
        signature.bind(None, resolution=None, epochs=1, seed=0, initial_epoch=0)
    except TypeError as fault:
        return [
            "Expected fit(model, *, resolution, epochs, seed, initial_epoch), a function that trains. "
            f"Received: fit{signature} ({fault}). Trainings begin in the middle of the schedule: write "
            "initial_epoch=0 into the arguments and model.fit(…, epochs=epochs, initial_epoch=initial_epoch)."
        ]
    return []
