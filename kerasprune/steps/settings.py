"""The arguments of `kp.prune`, declared once and checked before anything is done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune import defaults
from kerasprune.checks import choice_faults, given_values, is_number, kind_faults, seed_faults, whole_number_faults
from kerasprune.data.arrays_or_batches import is_array
from kerasprune.data.examples import Examples
from kerasprune.errors import PruneError, make_or_note, nearest, raise_faults, short, warn
from kerasprune.graph.built_model import LOAD
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.planning.targets.base import Target
from kerasprune.planning.targets.registry import get_all
from kerasprune.progress import level_of, verbose_faults
from kerasprune.repair.reconstruction.reconstruct import reconstruct, reconstruction_faults
from kerasprune.steps.objective import Objective
from kerasprune.surgery.custom_train_step import has_own_step
from kerasprune.training.distillation.student import distil, teaching_faults

KEPT = 0.5  # default fraction of the multiply–adds
_LABELS = "Expected labels with the inputs, data=(x, y). Received: an array for epochs."
_SHARE = "Expected validation as (x, y), or None for a tenth of the data that is held out."
_IDLE = "Expected epochs of fine-tuning with arguments for distil. Received: epochs=0."


OF_PLAN = ("coupling", "unknown", "min_keep", "round_to", "macs_of")
"""The keys of `plan`: arguments of `kp.trace` and `kp.plan` that `kp.prune` does not take itself."""


def _keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    kinds = inspect.signature(function).parameters.items()
    return tuple(name for name, each in kinds if each.kind is each.KEYWORD_ONLY and name != "plan")


OF_STEPS = {"reconstruct": _keywords(reconstruct), "distil": _keywords(distil)}
"""The keys of `reconstruct` and `distil`: the keywords of these functions."""


@dataclass(frozen=True)
class PruneSettings:
    """The arguments of `kp.prune`, which documents them; the fields are its parameters.

    Raises:
        PruneError: An argument is out of range, two targets are given, or a plan with what would make another.
    """

    model: keras.Model
    macs: float | None
    data: Any
    epochs: int
    params: float | None
    keep: float | None
    target: Target | None
    criterion: Any
    budget: Any
    freeze: Sequence[str]
    plan: Plan | Mapping[str, Any] | None
    size: Size | None
    reconstruct: bool | Mapping[str, Any]
    distil: bool | Mapping[str, Any]
    verify: bool
    validation: Any
    loss: Any
    optimizer: Any
    batch: int
    callbacks: Sequence[keras.callbacks.Callback]
    deliver: Any
    seed: int
    verbose: int | str

    def __post_init__(self) -> None:
        faults = [
            *kind_faults(keras.Model, LOAD, model=self.model),
            *([_LABELS] if is_array(self.epochs) else whole_number_faults(0, epochs=self.epochs)),
            *([f"{_SHARE} Received: validation={self.validation!r}."] if is_number(self.validation) else []),
            *whole_number_faults(1, batch=self.batch),
            *seed_faults(seed=self.seed),
            *_delivery_faults(self.deliver),
            *verbose_faults(2, self.verbose),
            *_optimizer_faults(self.optimizer),
            *_callback_faults(self.callbacks),
            *_step_faults(reconstruction_faults, "reconstruct", self.reconstruct),
            *_step_faults(teaching_faults, "distil", self.distil),
            *([_IDLE] if isinstance(self.distil, Mapping) and self.epochs == 0 else []),
            *([] if isinstance(self.plan, Plan) else _key_faults(OF_PLAN, (None,), plan=self.plan)),
            *_key_faults((), (True, False), verify=self.verify),
            *self._decided_twice(),
        ]
        if self.target is not None and (target := make_or_note(faults, get_all, self.target)):
            object.__setattr__(self, "target", target)
        asked = given_values(**self._given, target=self.target)
        if len(asked) > 1:
            received = ", ".join(f"{name}={value!r}" for name, value in asked.items())
            faults.append(f"Expected one of macs, keep, params and target. Received: {received}.")
        raise_faults("Invalid arguments for prune:", faults)
        object.__setattr__(self, "verbose", level_of(self.verbose))

    def _decided_twice(self) -> list[str]:
        """Returns a fault if a plan is given, and an argument that would make another one."""
        if not isinstance(self.plan, Plan):
            return []
        decided = given_values(**self._given, target=self.target)
        decided |= {} if self.criterion == "l1" else {"criterion": self.criterion}
        decided |= {} if self.budget == "uniform" else {"budget": self.budget}
        decided |= {"freeze": self.freeze} if self.freeze else {}
        received = ", ".join(f"{name}={short(value)}" for name, value in decided.items())
        both = f"Received: plan={self.plan!r} and {received}. Leave one of them out."
        return [f"Expected a plan, or the arguments that make one. {both}"] if decided else []

    @property
    def how(self) -> dict[str, Any]:
        """The arguments of `kp.trace` and `kp.plan` beside those of `kp.prune`; empty with a plan."""
        return {} if isinstance(self.plan, Plan) or self.plan is None else dict(self.plan)

    @property
    def for_plan(self) -> dict[str, Any]:
        """Those of `how` that `kp.plan` takes."""
        return {name: value for name, value in self.how.items() if name not in ("coupling", "unknown")}

    def options(self, step: str) -> dict[str, Any] | None:
        """Returns the arguments of `"reconstruct"` or `"distil"`; `None` if it is switched off."""
        given = getattr(self, step)
        return None if given is False else {} if given is True else dict(given)

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
        taught = self.options("distil")
        if not examples.labelled and taught is None:
            raise PruneError("Expected labels with distil=False. Received: inputs alone. Leave distil=True.")
        if not examples.labelled and taught.get("weight", 1) != 1:
            raise PruneError(f"Expected labels with distil={taught}. Received: inputs alone. Leave its weight out.")
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


def _step_faults(faults_of: Callable[..., list[str]], step: str, given: Any) -> list[str]:
    """Returns the faults of the arguments of a step."""
    keys = _key_faults(OF_STEPS[step], (True, False), **{step: given})
    return keys or ([] if isinstance(given, bool) else faults_of(**given))


def _key_faults(keys: Sequence[str], alone: Sequence[Any], **values: Any) -> list[str]:
    """Returns the faults of arguments that take one of some values, or a mapping of other arguments."""
    ((name, value),) = values.items()
    if any(value is each for each in alone):
        return []
    if not (keys and isinstance(value, Mapping)):
        wanted = " or ".join([*map(repr, alone), *([f"a dict with {', '.join(keys)}"] if keys else [])])
        return [f"Expected {name} to be {wanted}. Received: {name}={short(value)}."]
    return [
        f"Expected the keys {', '.join(keys)} in {name}. Received: {key!r}.{nearest(str(key), keys)}"
        for key in value
        if key not in keys
    ]


def _delivery_faults(deliver: Any) -> list[str]:
    if isinstance(deliver, keras.metrics.Metric):
        received = f"Received: deliver={type(deliver).__name__}, an object of Keras."
        remedy = "Compile the model with it: the first metric chooses."
        return [f"Expected deliver to be 'best', 'last' or a function f(model, (x, y)). {received} {remedy}"]
    return [] if callable(deliver) else choice_faults(defaults.DELIVERED, deliver=deliver)


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
