"""The section `max_drop` of a recipe's pruning stage: the smallest model at the loss that is allowed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from kerasprune.checks import is_number
from kerasprune.defaults import AUTO
from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.node import Budget, Criterion, Fraction, Named, PositiveFloat, PositiveInt
from kerasprune.recipes.plan_section import Traced

COSTS = ("macs", "params", "time", "bytes")


class MaxDrop(AloneSection, Traced):
    """The smallest model whose metric drops by no more than a number, see `kp.smallest`; `finetune` says how it trains.

    `max_drop: 0.01` is short for `max_drop: {value: 0.01}`.

    Args:
        value: The largest drop of the metric, 0.01 for a point; searches the smallest model.
        by: What is to be small. Defaults to `macs`.
        table: The latency table of a device, for `by: time`. Defaults to `None`: this machine is measured.
        precision: Precision of the `.tflite` file that is judged in place of the model. Defaults to `None`: the model.
        metric: The metric, by name. Defaults to `None`: the first.
        drop_type: absolute, or relative to the dense model's metric. Defaults to `None`: absolute for metrics between 0
            and 1 of which more is better, else relative.
        floor: The least accuracy of single classes, `{"3": 0.95}`. Defaults to none.
        confidence: One-sided confidence of the bound on the drop. Defaults to 0.84.
        trials: Trainings at most. Defaults to 6.
        criterion: As in `plan`. Defaults to `l1`.
        budget: As in `plan`. Defaults to `uniform`.
        min_keep: As in `plan`. Defaults to 1.
        round_to: As in `plan`. Defaults to `auto`.
    """

    trained: ClassVar[str] = "searched"
    judged: ClassVar[bool] = True

    value: PositiveFloat
    by: Literal[COSTS] = "macs"  # type: ignore[valid-type]
    table: str | None = None
    precision: str | None = None
    metric: str | None = None
    drop_type: Literal["absolute", "relative"] | None = None
    floor: dict[str, Fraction] | None = None
    confidence: Fraction = 0.84
    trials: PositiveInt = 6
    criterion: Criterion = Named(name="l1")
    budget: Budget = Named(name="uniform")
    min_keep: PositiveInt = 1
    round_to: PositiveInt | Literal["auto"] = AUTO

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"value": value} if is_number(value) else value

    def least(self) -> Self:
        return self.model_copy(update={"trials": 1})
