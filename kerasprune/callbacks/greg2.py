"""Picks channels by a growing penalty on all of them, then pushes the others to zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from kerasprune.callbacks._growing import GrowingPenalty, keep_faults
from kerasprune.checks import is_number, non_negative_faults
from kerasprune.errors import make_or_note, raise_faults
from kerasprune.training.candidates import Unit
from kerasprune.training.in_step import cond
from kerasprune.training.regularizers.growth import TwoSlopeGrowth


class GReg2(GrowingPenalty):
    """Separates the channels by a uniformly growing penalty before it picks those to remove by L1 norm.

    Picking: in the paper, `λ_j += δλ` for *all* j every K_u steps. At the first update with `λ > τ'`, the channels of
    largest L1 norm are picked and kept. Pushing: the kept channels get `λ = recover` (the negative of the weight
    decay); for all others λ continues to grow, with a larger δλ, until `λ_j = τ`, followed by K_s more steps. The pick
    happens inside the compiled step. (The paper's table prints a single δλ, 1e-5, which would need 10⁶ steps to reach
    τ; its code pushes at 1e-4.)

    Args:
        keep: Fraction kept of the channels (or weights) of every group (or kernel), with residual trunks kept whole; or
            `{group name: fraction}` (`{layer name: fraction}` with `granularity="weight"`).
        schedule: How λ grows, and when channels are picked: `kp.schedules.TwoSlopeGrowth(pick_step=…, push_step=…,
            pick_at=…, …)`, as in the paper; `kp.schedules.GeometricGrowth(steps=600)`, which picks halfway through its
            growth; or a dict (without a name: two slopes). Defaults to `None`: `TwoSlopeGrowth()`.
        recover: λ of the kept entries after the pick. Defaults to `−weight_decay`.
        granularity: As for `GReg1`. Defaults to `"filter"`.
        weight_decay: γ, the L2 coefficient already in the loss. Defaults to 0.
        freeze: Names of layers, or wildcards, that are kept whole. Defaults to none.
        decoupled: As for `GReg1`. Defaults to `False`.
        norm: The penalty, `"l2"` only: the pick rests on a quadratic approximation, which L1 does not allow.
            Defaults to `"l2"`.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> callback = GReg2(keep=0.5, weight_decay=5e-4)
        >>> callback.pick_step_number, callback.length
        (10010, 114000)

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, section 3.3 and Algorithm 1.
    """

    def __init__(
        self,
        *,
        keep: float | Mapping[str, float],
        schedule: Any = None,
        recover: float | None = None,
        granularity: Any = "filter",
        weight_decay: float = 0.0,
        freeze: Sequence[str] = (),
        decoupled: bool = False,
        norm: str = "l2",
        strict: bool = True,
    ) -> None:
        faults = keep_faults(keep)
        if recover is not None and not is_number(recover):
            faults.append(f"Expected recover to be a number. Received: recover={recover!r}.")
        faults += non_negative_faults(weight_decay=weight_decay)
        if norm != "l2":
            faults.append(
                "Expected norm='l2': the pick rests on a local quadratic approximation of the loss with its penalty, "
                f"which only L2 allows. Received: norm={norm!r}. Use GReg1 for norm='l1'."
            )
        super().__init__(schedule, TwoSlopeGrowth(), keep, granularity, freeze, faults, decoupled, strict)
        self.weight_decay = weight_decay
        faults = []
        make_or_note(faults, lambda: self.growth.pick)
        raise_faults("Invalid arguments for GReg2:", faults)
        self.recover = -weight_decay if recover is None else recover

    @property
    def pick_step_number(self) -> int:
        """The step at which the pick happens; in the paper, the first update with `λ > τ'`."""
        return self.growth.pick

    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ of every entry: the same for all before the pick, then `recover` or further growth."""
        pruned, grown = self._settled(unit, step), self._law(step)
        return ops.where(step < self.pick_step_number, grown, ops.where(pruned, grown, self.recover))

    def _settled(self, unit: Unit, step: Any) -> Any:
        """Returns the entries to remove, which are picked at the step of the pick."""
        picks = ops.equal(step, self.pick_step_number)
        pruned = cond(picks, unit.lowest, lambda: ops.convert_to_tensor(unit.pruned))
        unit.pruned.assign(pruned)
        return pruned

    @property
    def undecided(self) -> bool:
        """Whether the pick is still to come."""
        return self.session.now() <= self.pick_step_number
