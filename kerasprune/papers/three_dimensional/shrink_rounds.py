"""Shrinks along one dimension during one `fit`, by values only."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np

from kerasprune.checks import whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.plans import Plan
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensional.extents import NOTHING, Extent, Point, check_blocks, measured_point
from kerasprune.papers.three_dimensional.plan_masks import PlanMasks
from kerasprune.papers.three_dimensional.shrinking_plans import Judges, check_rounds, continue_plan, fractions_by_round
from kerasprune.surgery.rebuild import rebuild
from kerasprune.training.callback import PruningCallback


class ShrinkRounds(PruningCallback):
    """Shrinks depth, width or resolution in equal steps during one `fit`, and records a point after each round.

    The dimension is `x_n = 1 − n (1 − keep) / rounds` in round n, for `epochs_per_round` epochs.

    Only values change, not shapes. Removed channels are no longer read: the kernels that read them, and their optimizer
    slots, are set to zero along these channels after every step. Removed residual blocks add zero: the scale and shift
    of the BatchNorm that ends the branch are zero (or its last kernel and bias). Dense blocks are removed by removing
    their channels. A point describes the network that `kp.rebuild(model, point.plan, absorb=False)` builds.
    `kp.papers.three_dimensional.rounds` does the same with rebuilt networks between fits, which is faster, and also
    works for plain blocks and for layers that compute statistics over channels.

    For `dimension="resolution"` nothing is masked; train on
    `kp.data.rounds(name, sizes=callback.sizes, epochs_per_round=…)`.

    Args:
        dimension: `"depth"`, `"width"` or `"resolution"`.
        rounds: Number of rounds. Defaults to 4.
        keep: Fraction of the dimension that the last round keeps. Defaults to 0.5.
        epochs_per_round: Epochs of each round; `fit` takes `rounds · epochs_per_round`. Defaults to 40.
        size: Side of the inputs, in pixels, if the model leaves it free. Defaults to the model's own.
        data: Batches of `(inputs, labels)` for the criterion of blocks.
        blocks: Criterion of blocks. Defaults to `"discrimination"`.
        channels: Criterion of channels, compared inside each group. Defaults to `"bn_scale"`.
        monitor: Name of the log that holds the accuracy. Defaults to `"val_accuracy"`.
        seed: Seed of the criterion of blocks. Defaults to 0.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range; in `fit`: the number of epochs is wrong, the log is missing, or the
            model cannot be shrunk without changing shapes.

    Example:
        >>> callback = ShrinkRounds("resolution", rounds=2, keep=0.5, epochs_per_round=1, size=32)
        >>> callback.sizes
        [24, 16]

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Algorithm 1.
    """

    takes = frozenset({"size"})

    def __init__(
        self,
        dimension: str,
        rounds: int = 4,
        *,
        keep: float = 0.5,
        epochs_per_round: int = 40,
        size: int | None = None,
        data: Any = None,
        blocks: str | dict | BlockCriterion = "discrimination",
        channels: str | dict | Criterion = "bn_scale",
        monitor: str = "val_accuracy",
        seed: int = 0,
        strict: bool = True,
    ) -> None:
        super().__init__(strict=strict)
        check_rounds(dimension, keep, rounds, epochs_per_round)
        raise_faults("Invalid rounds:", whole_number_faults(1, epochs_per_round=epochs_per_round))
        self.dimension = dimension
        self.rounds = rounds
        self.keep = keep
        self.epochs_per_round = epochs_per_round
        self.size = size
        self.data = data
        self.blocks = blocks
        self.channels = channels
        self.monitor = monitor
        self.seed = seed
        self._plan_masks: PlanMasks | None = None
        self._extent: Extent | None = None

    @property
    def points(self) -> list[Point]:
        """One point for every finished round, without its model."""
        if self.session is None:
            return []
        rows, plans = self.session.notes["points"].tolist(), self.session.notes["plans"][1:]
        return [Point(*row[:4], *map(int, row[4:]), _read(plan)) for row, plan in zip(rows, plans, strict=True)]

    @property
    def plan(self) -> Plan:
        """The present plan, for `kp.rebuild(…, absorb=False)` after `fit`."""
        return NOTHING if self.session is None else _read(self.session.notes["plans"][0])

    @property
    def sizes(self) -> list[int]:
        """Sides of the inputs in every round, for `kp.data.rounds`."""
        if self.size is None:
            raise PruneError("Expected the side of the dense model's inputs. Received: size=None. Pass it.")
        if self.dimension != "resolution":
            return [self.size] * self.rounds
        return [max(1, round(fraction * self.size)) for fraction in fractions_by_round(self.keep, self.rounds)]

    def begin(self) -> None:
        """Attaches the masks and takes the first step; an instance can be used for several fits."""
        wanted, asked = self.rounds * self.epochs_per_round, self.params.get("epochs")
        if asked != wanted and not self.goes_on:
            raise PruneError(
                f"Expected a fit of rounds · epochs_per_round = {wanted} epochs. Received: epochs={asked}. "
                "Change one of the three."
            )
        self._extent = Extent.of(self.model, self.size)
        if self.dimension == "depth":
            check_blocks(self.model, self._extent)
        begun = {"epochs": np.asarray(0), "points": np.zeros((0, 7)), "plans": np.array([_written(NOTHING)])}
        self.session.notes |= begun
        self._plan_masks = None
        if self.dimension != "resolution":
            self._plan_masks = PlanMasks(self.model, self.dimension)
            self._plan_masks.attach(self.session)
        if not self.goes_on:
            self._shrink(rebuild(self.model, NOTHING, absorb=False))

    def end(self) -> None:
        """Warns if rounds are left."""
        if not self.finished:
            meant = f"take {self.rounds} rounds of {self.epochs_per_round} epochs"
            remedy = ", but its last step is not trained to the end. Another fit with this callback continues."
            self._diagnosis.cut_short(meant, f"after {len(self.points)}", remedy)

    def resumed(self) -> None:
        """Masks the channels and blocks that the plan removes."""
        if self._plan_masks is not None:
            self._plan_masks.assign(self.plan)

    @property
    def finished(self) -> bool:
        """Whether all rounds are finished."""
        return self.session is not None and len(self.session.notes["points"]) >= self.rounds

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records a point and takes the next step at the end of a round; removes the masks if that fails."""
        gauges = self.gauges()  # of the round of these logs
        if not self.finished:
            self.session.notes["epochs"] = self.session.notes["epochs"] + 1
            if self.session.notes["epochs"] % self.epochs_per_round == 0:
                try:
                    self._finish(logs or {})
                except BaseException:
                    self.session.detach()
                    raise
        super().on_epoch_end(epoch, logs)
        if logs is not None:
            logs.update(gauges)

    def gauges(self) -> dict[str, float]:
        """Returns the number of the present round, from 1, and the fraction that it keeps."""
        number = min(len(self.session.notes["points"]) + 1, self.rounds)
        return {"kept": self._fraction(number), "round": float(number)}

    def shortfalls(self) -> list[str]:
        """Returns a shortfall if weights that the plan removes are not zero."""
        if self._plan_masks is None or self._plan_masks.holds():
            return super().shortfalls()
        return [*super().shortfalls(), "Removed weights are not zero after an epoch. Update by optimizer.apply alone."]

    # ---- one round --------------------------------------------------------------------------------------------

    def _fraction(self, number: int) -> float:
        return fractions_by_round(self.keep, self.rounds)[number - 1]

    def _finish(self, logs: dict) -> None:
        """Ends a round."""
        _ = self.model  # on JAX this brings the variables up to date
        if self.monitor not in logs:
            raise PruneError(
                f"Expected {self.monitor!r} among the logs. Received: {', '.join(logs)}. Pass validation_data to fit "
                "and compile with metrics=['accuracy'], or name another log with monitor=."
            )
        plan, notes = self.plan, self.session.notes
        slim = rebuild(self.model, plan, absorb=False)
        side = plan.resolution or self._extent.side
        point = measured_point(slim, self._extent, side, float(logs[self.monitor]), plan)
        notes["points"] = np.concatenate([notes["points"], [list(point.facts.values())]])
        notes["plans"] = np.append(notes["plans"], _written(plan))
        if len(notes["points"]) < self.rounds:
            self._shrink(slim)

    def _shrink(self, slim: keras.Model) -> None:
        """Takes the next step, with scores of the network as it would be built now."""
        notes, plan = self.session.notes, self.plan
        fraction = self._fraction(len(notes["points"]) + 1)
        judges = Judges(self.blocks, self.channels, self.data, self.seed, self.model.loss)
        plan = continue_plan(plan, judges.next_plan(slim, self._extent, self.dimension, fraction))
        notes["plans"] = np.array([_written(plan), *notes["plans"][1:]])
        if self._plan_masks is not None:
            self._plan_masks.assign(plan)


def _written(plan: Plan) -> str:
    keep = {name: list(kept) for name, kept in plan.keep.items()}
    return json.dumps([keep, plan.removed, plan.resolution, plan.coupling, plan.fingerprint])


def _read(text: Any) -> Plan:
    return Plan(*json.loads(str(text)))
