"""The sections of a plan, and of one that is searched: how a model is traced, and which of its channels are kept."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from kerasprune.checks import given_values, is_number
from kerasprune.defaults import AUTO, COSTS, COUPLINGS
from kerasprune.errors import Key, PruneError, join_messages
from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.node import Budget, Criterion, Fraction, Named, Node, PositiveFloat, PositiveInt, Target
from kerasprune.registry import import_address


class Traced(Node):
    """How the model is traced, see `kp.trace`.

    Args:
        coupling: Whether residual trunks shrink, too (tied), are kept whole (free), or may end wider than the branches
            that are added to them (padded). Defaults to `tied`.
        freeze: Name of a layer, or a wildcard, all of whose channels are kept. Defaults to none.
        unknown: Treatment of layers without a rule: raise, or freeze, which keeps the channels around them.
            Defaults to `raise`.
    """

    coupling: Literal[COUPLINGS] = "tied"  # type: ignore[valid-type]
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"


class ChannelChoice(Traced):
    """How channels are chosen, see `kp.plan`.

    Args:
        criterion: Which channels matter, by name ('kerasprune ls criteria'). Defaults to `l1`.
        budget: How much is kept where, by name ('kerasprune ls budgets'). Defaults to `uniform`.
        min_keep: Channels of every group that are kept at least. Defaults to 1.
    """

    criterion: Criterion = Named(name="l1")
    budget: Budget = Named(name="uniform")
    min_keep: PositiveInt = 1


class PlanStep(ChannelChoice):
    """Which channels are kept: the arguments of `kerasprune.plan`.

    Args:
        keep: Fraction of the channels that is kept. Defaults to `None`.
        macs: Fraction of the multiply–adds that is kept, 0.5 for half. Defaults to `None`.
        params: Fraction of the parameters that is kept. Defaults to `None`.
        target: Time on a device, size of the exported file, or RAM of a microcontroller, e.g. `{name: time, fraction:
            0.5, table: phone.csv}`; without `table` this machine is measured, by LiteRT or with `device: keras, batch:
            64` as the model runs in Keras. Defaults to `None`.
        round_to: Channels are kept in multiples of this number; or `table`, which widens every group as far as that
            costs no time by the table of the target; or `auto`: where multiply–adds, parameters or a size are asked,
            multiples that kernels like, of 4, 8 or 16 as the group is wide. Defaults to `auto`.
    """

    target: Target | None = None
    keep: Fraction | None = None
    macs: Fraction | None = None
    params: Fraction | None = None
    round_to: PositiveInt | Literal["auto", "table"] = AUTO

    @property
    def asked(self) -> dict[str, Any]:
        """How much is kept: those of `keep`, `macs`, `params` and `target` that are given."""
        return given_values(keep=self.keep, macs=self.macs, params=self.params, target=self.target)

    @model_validator(mode="after")
    def _one_target(self) -> PlanStep:
        if len(self.asked) > 1:
            known = (Key("keep"), ", ", Key("macs"), ", ", Key("params"), " and ", Key("target"))
            values = {name: value.name if name == "target" else value for name, value in self.asked.items()}
            received = join_messages(" and ", (PruneError(Key(name), f"={value}") for name, value in values.items()))
            raise PruneError("Expected one of ", *known, ". Received: ", *received)
        timed = (
            self.target is not None and self.target.name == "time" and self.target.arguments.get("device") != "keras"
        )
        if self.round_to == "table" and not timed:
            rounding = (
                Key("target", "a target of time"),
                " with ",
                Key("round_to"),
                ": table, which rounds by the table of that target",
            )
            raise PruneError("Expected ", *rounding, ". Received: another target, or none.")
        return self


class MaxDrop(AloneSection, ChannelChoice):
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
    round_to: PositiveInt | Literal["auto"] = AUTO

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"value": value} if is_number(value) else value

    @classmethod
    def stage(cls) -> ModuleType:
        return import_address("kerasprune.recipes.max_drop_stage")

    def least(self) -> Self:
        return self.model_copy(update={"trials": 1})
