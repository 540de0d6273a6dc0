"""The third step: a slim model is trained, and left with the best weights of its epochs and of the steps before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kerasprune.defaults import SEED_OF_FINETUNING
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport
from kerasprune.training.callback import PruningCallback
from kerasprune.training.fit import RunningFit


class Tuned(NamedTuple):
    """The result of a fine-tuning.

    Args:
        step: The report of the tuned model.
        delivered: The report of the model that is delivered: this one, or one before.
        remarks: On a model that has become worse.
    """

    step: StepReport
    delivered: StepReport
    remarks: list[str]


def tune(
    slim: keras.Model,
    train: Callable[[Sequence[keras.callbacks.Callback]], None],
    judge: Judge,
    earlier: Sequence[StepReport],
    *,
    deliver: str,
    seed: int,
) -> Tuned:
    """Trains a slim model, and leaves it with the weights of its best epoch, its last, or those that it began with.

    Args:
        slim: The model.
        train: `train(callbacks)` trains it with further callbacks.
        judge: Measures models.
        earlier: The reports after removal; that of `slim` last.
        deliver: `"best"` or `"last"`.
        seed: Seed of the run, for the layers.
    """
    delivery = Delivery(deliver, judge, slim)
    seed_layers(slim, seed + SEED_OF_FINETUNING)
    train(delivery.callbacks)
    step, delivered = delivery.result(earlier)
    remarks = judge.measure.remarks(earlier[-1], step) if earlier else []
    return Tuned(step, delivered, remarks)


def seed_layers(model: keras.Model, seed: int) -> None:
    """Sets the global seeds, and the seeds of the random layers of a model in order.

    Otherwise a new or loaded layer has its own seed, so that equal models would be trained with different dropout.
    """
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name == "seed_generator_state":
            variable.assign(np.array([generator.integers(2**31), 0], "uint32"))


class BestEpoch(PruningCallback):
    """Keeps the weights of the best epoch; the earlier of equals. Callbacks after it see its metrics as `val_…`.

    Epochs before the end of the schedule of another callback do not count. The weights are part of the state that
    `Resume` saves.

    Args:
        judge: Measures the model.
        slim: The model, before training.
    """

    continues = False

    def __init__(self, judge: Judge, slim: keras.Model) -> None:
        super().__init__()
        self._judge, self._slim = judge, slim
        judge.prepare(slim)  # traced now, so that the loss excludes penalties of the training

    def begin(self) -> None:
        """Starts without a best epoch."""
        self.session.notes |= {"worth": np.float64(-np.inf), "epoch": np.int64(0), "scheduled": np.bool_(False)}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the weights if they are better than all before."""
        super().on_epoch_end(epoch, logs)
        notes = self.session.notes
        others = [each for each in RunningFit.of(self.model).callbacks if each.scheduled]
        notes["scheduled"] = np.bool_(bool(others))
        if not all(each.finished for each in others):
            return
        metrics = self._judge.metrics(self._slim)
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in metrics.items() if f"val_{name}" not in logs})
        worth = self._judge.worth(self._slim, metrics)
        if worth > notes["worth"]:
            weights = {f"weight/{n}": ops.convert_to_numpy(v).copy() for n, v in enumerate(self._slim.weights)}
            notes |= {"worth": np.float64(worth), "epoch": np.int64(epoch + 1), **weights}

    def put_back(self) -> int | None:
        """Restores the best weights and returns their epoch; `None` if the current weights are better."""
        notes = self.used().notes
        if not notes["epoch"] or self._judge.worth(self._slim) > notes["worth"]:
            return None
        for number, variable in enumerate(self._slim.weights):
            variable.assign(notes[f"weight/{number}"])
        return int(notes["epoch"])

    def chosen(self, steps: Sequence[StepReport]) -> StepReport:
        """Returns the step whose model is delivered: the best, or the last if another callback has a schedule.

        Args:
            steps: The steps after the cut, of equals the first is taken; the fine-tuning last.
        """
        return steps[-1] if self.used().notes["scheduled"] else self._judge.measure.best(steps)


class Delivery:
    """The choice of the model that fine-tuning delivers; of equals the one that it started from, else the earlier.

    Args:
        deliver: `"best"`, if the judge has examples, or `"last"`.
        judge: Measures the models.
        slim: The model, before training.
    """

    def __init__(self, deliver: str, judge: Judge, slim: keras.Model) -> None:
        self._judge, self._slim = judge, slim
        best = deliver == "best" and judge.examples is not None
        self.callbacks = [BestEpoch(judge, slim)] if best else []
        self._before = slim.get_weights() if best else []

    def result(self, earlier: Sequence[StepReport]) -> tuple[StepReport, StepReport]:
        """Returns the step of fine-tuning and the delivered step; gives the slim model the weights of the latter.

        Args:
            earlier: The steps after the cut; fine-tuning started from the last one.
        """
        epochs = [best.put_back() for best in self.callbacks]
        tuned = replace(self._judge.step("fine-tuned", self._slim), epoch=epochs[0] if epochs else None)
        chosen = self.callbacks[0].chosen([*reversed(earlier), tuned]) if self.callbacks else tuned
        if earlier and chosen is earlier[-1]:
            self._slim.set_weights(self._before)
        return tuned, chosen
