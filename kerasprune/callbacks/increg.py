"""Gives every filter a separate penalty, which grows or shrinks with its rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from kerasprune.callbacks._growing import GrowingPenalty, keep_faults
from kerasprune.checks import kind_faults
from kerasprune.errors import raise_faults
from kerasprune.graph.plans import Plan
from kerasprune.training.candidates import Unit
from kerasprune.training.in_step import cond
from kerasprune.training.regularizers.growth import Growth, LinearGrowth
from kerasprune.training.scope import rank


class IncReg(GrowingPenalty):
    """Raises the penalty of weak filters and lowers that of strong ones, by a rank that may change during training.

    The loss is `L(w) + ½ Σ_j λ_j w_j²`. After every `every` steps `λ_j ← min(max(λ_j + Δ(r_j), 0), ceiling)`, where r_j
    is the rank of filter j by L1 norm (0 = weakest). If n of N filters are to be removed, `Δ(r) = A (1 − r/n)` for
    r ≤ n and `−A (r − n)/(N − n − 1)` above. The weakest filters are removed after the schedule. GReg, in contrast,
    uses the same growth for all filters and a fixed choice.

    The defaults are those of the authors' code: A is half of the original weight decay of 5e-4 (the other half remains
    in the loss), the ceiling is 10⁴·A, and λ is updated at every step; the learning rate is 5e-4, a twentieth of the
    original one. There are two differences: the original averages ranks over steps, whereas here only the rank at the
    update counts; and the original continues until enough λ have reached the ceiling, here for `settle` steps.

    Args:
        keep: Fraction kept of the channels (or weights) of every group (or kernel), with residual trunks kept whole; or
            `{group name: fraction}` (`{layer name: fraction}` with `granularity="weight"`).
        schedule: `kp.schedules.LinearGrowth(step=A, every=…, ceiling=…, settle=…)` or a dict of these arguments: the
            largest change A; the steps between two updates; the largest λ; and the steps after the fastest λ could have
            reached it. Defaults to `None`: `LinearGrowth(step=2.5e-4, every=1, ceiling=2.5)`, of which a dict replaces
            the given arguments.
        granularity: As for `GReg1`. Defaults to `"filter"`.
        freeze: Names of layers, or wildcards, that are kept whole. Defaults to none.
        decoupled: As for `GReg1`. Defaults to `False`.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> IncReg(keep=0.5).length
        14999

    Reference:
        Wang et al., Structured Pruning for Efficient ConvNets via Incremental Regularization, IJCNN 2019, section 3.
    """

    label = "increg"
    undecided = True

    def __init__(
        self,
        *,
        keep: float | Mapping[str, float],
        schedule: Any = None,
        granularity: Any = "filter",
        freeze: Sequence[str] = (),
        decoupled: bool = False,
        strict: bool = True,
    ) -> None:
        papers = LinearGrowth(step=2.5e-4, every=1, ceiling=2.5)
        super().__init__(schedule, papers, keep, granularity, freeze, keep_faults(keep), decoupled, strict)
        raise_faults("Invalid arguments for IncReg:", kind_faults(LinearGrowth, "", schedule=self.growth))

    def units(self) -> tuple[Plan, list[Unit]]:
        """Returns the units, each with penalties that begin at zero."""
        given, units = super().units()
        variable, never = partial(self.session.variable, read_by=self.read_by), np.int32(-self.growth.every)
        self._penalties = {u.name: variable(f"penalty/{u.name}", np.zeros(u.size, "float32")) for u in units}
        self._updated = {u.name: variable(f"updated/{u.name}", never) for u in units}
        return given, units

    def change(self, unit: Unit) -> Any:
        """Returns Δ of every entry of a unit, at this moment."""
        pruned = unit.size - unit.kept
        position = unit.size - 1 - ops.cast(rank(unit.scores()), "float32")
        falls = -(position - pruned) / max(unit.kept - 1, 1)
        return self.growth.step * ops.where(position <= pruned, 1 - position / pruned, falls)

    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ, updated if due; a second call in the same step, for another kernel, leaves it unchanged."""
        penalty, updated = self._penalties[unit.name], self._updated[unit.name]
        due = step >= ops.convert_to_tensor(updated) + self.growth.every
        now = ops.convert_to_tensor(penalty)
        # Ranks take sorting, so only in steps that need them.
        grown = cond(due, lambda: ops.clip(now + self.change(unit), 0.0, self.growth.ceiling), lambda: now)
        penalty.assign(grown)
        updated.assign(ops.where(due, ops.cast(step, "int32"), ops.convert_to_tensor(updated)))
        return grown

    def _shortened(self, steps: int) -> Growth:
        """Returns the law with A and the steps squeezed: every λ grows or falls with its rank, by A at most."""
        return self.growth.squeezed(steps)

    def _strengths(self, step: Any) -> list[Any]:
        return [ops.convert_to_tensor(self._penalties[unit.name]) for unit in self._units]
