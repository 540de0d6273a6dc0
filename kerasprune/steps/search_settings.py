"""The arguments of `kp.smallest`, checked before anything is done; the rest of them are those of `kp.prune`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras

from kerasprune.checks import choice_faults, given_values, positive_faults, proper_fraction_faults, whole_number_faults
from kerasprune.defaults import COSTS
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.graph.plans import Plan
from kerasprune.steps.class_floors import floor_faults
from kerasprune.steps.prune import prune
from kerasprune.steps.settings import PruneSettings

DROP_TYPES = ("absolute", "relative")
DECIDED = ("macs", "params", "keep", "target", "deliver", "plan")
"""Arguments of `kp.prune` that a search decides."""
_LIMITS = ("max_drop", "agreement", "max_error")

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_others_of(other: Callable[..., Any], without: Sequence[str]) -> Callable[[Function], Function]:
    """Returns a decorator: the signature of a function also shows the keywords of another, which its `**` takes."""

    def decorate(function: Function) -> Function:
        own = inspect.signature(function).parameters
        mine = [each for each in own.values() if each.kind is not each.VAR_KEYWORD]
        kinds = inspect.signature(other).parameters.values()
        others = [each.replace(kind=each.KEYWORD_ONLY) for each in kinds if each.name not in (*own, *without)]
        function.__signature__ = inspect.Signature([*mine, *others])  # type: ignore[attr-defined]
        return function

    return decorate


@dataclass(frozen=True)
class SearchSettings:
    """The arguments of `smallest`, which documents them.

    Raises:
        PruneError: An argument is out of range.
    """

    model: keras.Model
    data: Any
    max_drop: float | None
    by: str
    epochs: int
    validation: Any
    test: Any
    metric: Any
    drop_type: str | None
    agreement: float | None
    max_error: float | None
    groups: Sequence[Any] | None
    floor: Mapping[str | int, float] | None
    plan: Mapping[str, Any] | None
    quantize: str | None
    table: Any
    confidence: float
    trials: int
    folder: str | Path | None
    seed: int
    pruning: Mapping[str, Any]

    def __post_init__(self) -> None:
        limits = given_values(**{name: getattr(self, name) for name in _LIMITS})
        faults = [
            *choice_faults(COSTS, by=self.by),
            *choice_faults(DROP_TYPES, **given_values(drop_type=self.drop_type)),
            *choice_faults(tuple(PRECISIONS), **given_values(quantize=self.quantize)),
            *positive_faults(**given_values(max_drop=self.max_drop, max_error=self.max_error)),
            *proper_fraction_faults(**given_values(agreement=self.agreement), confidence=self.confidence),
            *whole_number_faults(1, trials=self.trials),
            *floor_faults(self.floor),
        ]
        if len(limits) != 1:
            faults.append(f"Expected one of {', '.join(_LIMITS)}. Received: {', '.join(limits) or 'none of them'}.")
        if self.table is not None and self.by != "time":
            faults.append(f"Expected a table with by='time' alone. Received: by={self.by!r}. Leave table out.")
        if isinstance(self.metric, keras.metrics.Metric):
            received = f"Received: metric={type(self.metric).__name__}, an object of Keras."
            remedy = "Compile the model with it, and give its name."
            faults.append(f"Expected metric as a name, or as a function f(model, (x, y)). {received} {remedy}")
        if self.data is None:
            faults.append("Expected data to train on and to judge on. Received: data=None. Give data=(x, y).")
        if self.floor and self.max_drop is None:
            faults.append("Expected floor with max_drop, which needs labels. Received: floor without max_drop.")
        if isinstance(self.plan, Plan):
            faults.append("Expected plan as a dict of arguments of kp.plan. Received: a plan. The search makes them.")
        raise_faults("Invalid arguments for smallest:", faults)

    @property
    def of_pruning(self) -> PruneSettings:
        """The arguments of `kp.prune`."""
        given = {name: each.default for name, each in inspect.signature(prune).parameters.items()}
        shared = {name: getattr(self, name) for name in ("model", "data", "epochs", "validation", "plan", "seed")}
        try:
            return PruneSettings(**{**given, **shared, **self.pruning})
        except PruneError as error:
            raise_faults("Invalid arguments for smallest:", error.faults)
            raise

    @property
    def limit(self) -> float:
        """The largest drop: without labels, of agreement from 1, or of the error from 0."""
        if self.agreement is not None:
            return 1 - self.agreement
        return self.max_error if self.max_drop is None else self.max_drop
