"""The third step: a slim model trained, and left with the best weights that it had on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from kerasprune.defaults import SEED_OF_FINETUNING
from kerasprune.steps.best_epoch import Delivery
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport
from kerasprune.surgery.seeds import seed_layers


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
