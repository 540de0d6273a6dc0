"""The arguments of `prune`, checked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from kerasprune import defaults
from kerasprune.data.arrays_or_batches import is_array
from kerasprune.data.examples import Examples
from kerasprune.errors import (
    PruneError,
    choice_faults,
    given_values,
    is_number,
    kind_faults,
    make_or_note,
    raise_faults,
    seed_faults,
    short,
    warn,
    whole_number_faults,
)
from kerasprune.export.latency.table import LatencyTable
from kerasprune.graph.built_model import LOAD
from kerasprune.planning import targets
from kerasprune.planning.targets.base import Target
from kerasprune.steps.examples_argument import examples_faults
from kerasprune.steps.objective import Objective
from kerasprune.surgery.custom_train_step import has_own_step

KEPT = 0.5  # default fraction of the multiply–adds
_LABELS = "Expected labels with the inputs, data=(x, y). Received: an array for epochs."
_SHARE = "Expected validation as (x, y), or None for a tenth of the data that is held out."
_VERBOSE = "Expected verbose to be 0, 1 or 2."


@dataclass(frozen=True)
class PruneSettings:
    """The checked arguments of `prune`, which documents them.

    Raises:
        PruneError: An argument is out of range, or two targets are given.
    """

    model: keras.Model
    macs: float | None
    data: Any
    epochs: int
    keep: float | None
    params: float | None
    target: Target | None
    criterion: Any
    budget: Any
    coupling: str
    freeze: Sequence[str]
    unknown: str
    min_keep: float
    round_to: int | Literal["auto"] | LatencyTable
    size: int | None
    reconstruct: bool
    distil: bool
    verify: bool
    validation: Any
    examples: str | int
    loss: Any
    optimizer: Any
    batch: int
    callbacks: Sequence[keras.callbacks.Callback]
    deliver: str
    seed: int
    verbose: int

    def __post_init__(self) -> None:
        faults = [
            *kind_faults(keras.Model, LOAD, model=self.model),
            *([_LABELS] if is_array(self.epochs) else whole_number_faults(0, epochs=self.epochs)),
            *([f"{_SHARE} Received: validation={self.validation!r}."] if is_number(self.validation) else []),
            *whole_number_faults(1, batch=self.batch),
            *seed_faults(seed=self.seed),
            *choice_faults(defaults.DELIVERED, deliver=self.deliver),
            *([] if self.verbose in (0, 1, 2) else [f"{_VERBOSE} Received: verbose={self.verbose!r}."]),
            *_optimizer_faults(self.optimizer),
            *_callback_faults(self.callbacks),
            *examples_faults(self.examples, self.data),
        ]
        if self.target is not None and (target := make_or_note(faults, targets.get, self.target)):
            object.__setattr__(self, "target", target)
        asked = given_values(**self._given, target=self.target)
        if len(asked) > 1:
            received = ", ".join(f"{name}={value!r}" for name, value in asked.items())
            faults.append(f"Expected one of macs, keep, params and target. Received: {received}.")
        raise_faults("Invalid arguments for prune:", faults)

    @property
    def _given(self) -> dict[str, float | None]:
        return {"macs": self.macs, "keep": self.keep, "params": self.params}

    @property
    def fractions(self) -> dict[str, float | None]:
        """The fractions kept by name: the one that is given; without any, and without a target, that of the MACs."""
        none = self.target is None and not given_values(**self._given)
        return {**self._given, "macs": KEPT} if none else self._given

    def check_training(self, objective: Objective, examples: Examples | None) -> None:
        """Raises if the model cannot be fine-tuned.

        Args:
            objective: The loss.
            examples: The examples; `None` without data.
        """
        if not self.epochs:
            return
        if examples is None:
            raise PruneError(f"Expected data to fine-tune on. Received: epochs={self.epochs}, data=None.")
        if not examples.labelled and not self.distil:
            raise PruneError("Expected labels with distil=False. Received: inputs alone. Leave distil=True.")
        if examples.labelled and objective.loss is None:
            raise PruneError(
                f"Expected a loss to fine-tune with. Received: loss=None, and {self.model.name!r} is not compiled. "
                "Compile it, or give loss=."
            )
        if has_own_step(self.model):
            warn(
                f"{type(self.model).__name__}.train_step is not used for fine-tuning, which trains as Keras does, on "
                "the loss. If it matters, leave epochs=0 and train the slim model with the step."
            )


def _callback_faults(callbacks: Any) -> list[str]:
    kind = keras.callbacks.Callback
    others = [each for each in keras.tree.flatten(callbacks) if not (each is None or isinstance(each, kind))]
    return [
        f"Expected Keras callbacks. Received: {short(each)} in callbacks."
        + (f" Call the class: {each.__name__}(…)." if isinstance(each, type) and issubclass(each, kind) else "")
        for each in others
    ]


def _optimizer_faults(optimizer: Any) -> list[str]:
    try:
        keras.optimizers.get("sgd" if optimizer is None else optimizer)
    except (ValueError, TypeError):
        known = "Give a Keras optimizer, or a name such as 'adam' or 'sgd'."
        return [f"Expected an optimizer that Keras knows. Received: optimizer={optimizer!r}. {known}"]
    if getattr(optimizer, "built", False):
        kind = type(optimizer).__name__
        return [
            f"Expected an unused optimizer. Received: optimizer, of class {kind}, with the state of another fit. "
            "Make a new one; or leave it out, which makes one with the class and settings of the compiled one."
        ]
    return []
