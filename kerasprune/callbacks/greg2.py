"""Lets the penalty grow for everything, and keeps what it shrinks least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from kerasprune.callbacks._growing import GrowingPenalty, keep_faults, law
from kerasprune.errors import is_number
from kerasprune.training.candidates import Unit
from kerasprune.training.control import cond
from kerasprune.training.growth import Linear, TwoSlopes

_OF_LINEAR = ("pick_step", "push_step", "every", "pick_at", "ceiling", "settle")


class GReg2(GrowingPenalty):
    """Lets a uniformly growing penalty separate the channels before it picks them by L1 norm.

    Picking: `λ_j += pick_step` for *all* j every `every` steps. At the first update with `λ > pick_at`, the channels
    of largest L1 norm are picked to stay. Pushing: they get `λ = recover` (the negative of the weight decay), the
    others `λ_j += push_step` until `λ_j = ceiling`; then `settle` more steps. The pick happens inside the compiled
    step. (The paper's table prints one step, 1e-5, which would need 10⁶ steps to reach τ; its code pushes at 1e-4.)

    Args:
        keep: Fraction of the channels (or weights) that stays in every group (or kernel), residual trunks left
            whole; or `{group name: fraction}` (`{layer name: fraction}` with `granularity="weight"`).
        pick_step: δλ while picking. Defaults to 1e-5.
        push_step: δλ while pushing. Defaults to 1e-4.
        every: K_u, steps between two updates. Defaults to 10.
        pick_at: τ'. Defaults to 0.01.
        ceiling: τ. Defaults to 1.0.
        settle: K_s, steps at the ceiling. Defaults to 5000.
        growth: The law by which λ grows: `"linear"`, the paper's, made of the arguments above; or `{"name":
            "geometric", "steps": 600}` in place of them, which picks halfway through its growth. Defaults to
            `"linear"`.
        recover: λ of what stays, after the pick. Defaults to `−weight_decay`.
        granularity: As for `GReg1`. Defaults to `"filter"`.
        weight_decay: γ, the L2 coefficient that the loss already holds. Defaults to 0.
        stop: Whether to stop `fit` at the end of the schedule. Defaults to `True`.
        freeze: Names of layers, or wildcards, that stay whole. Defaults to none.
        decoupled: As for `GReg1`. Defaults to `False`.
        strict: Whether to raise a `PruneError` at the end of a fit in which it did not act, rather than to warn.
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
        pick_step: float = 1e-5,
        push_step: float = 1e-4,
        every: int = 10,
        pick_at: float = 0.01,
        ceiling: float = 1.0,
        settle: int = 5000,
        growth: Any = "linear",
        recover: float | None = None,
        granularity: Any = "filter",
        weight_decay: float = 0.0,
        stop: bool = True,
        freeze: Sequence[str] = (),
        decoupled: bool = False,
        strict: bool = True,
    ) -> None:
        faults = keep_faults(keep)
        papers = TwoSlopes(
            Linear(pick_step, every, ceiling, settle), Linear(push_step, every, ceiling, settle), pick_at
        )
        own = {name: value for name, value in self._arguments[1].items() if name in _OF_LINEAR}
        if recover is not None and not is_number(recover):
            faults.append(f"Expected recover to be a number. Received: recover={recover!r}.")
        chosen = law(growth, papers, own, faults)
        super().__init__(chosen, keep, granularity, weight_decay, stop, freeze, faults, decoupled, strict)
        self.recover = -weight_decay if recover is None else recover

    @property
    def pick_step_number(self) -> int:
        """The step at which the pick happens; in the paper, the first update with `λ > τ'`."""
        return self.growth.pick

    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ of every entry: the same for all before the pick, then `recover` or growing on."""
        pruned, grown = self._settled(unit, step), self._law(step)
        return ops.where(step < self.pick_step_number, grown, ops.where(pruned, grown, self.recover))

    def _settled(self, unit: Unit, step: Any) -> Any:
        """Returns which entries go, having picked at the step of the pick."""
        picks = ops.equal(step, self.pick_step_number)
        pruned = cond(picks, unit.lowest, lambda: ops.convert_to_tensor(unit.pruned))
        unit.pruned.assign(pruned)
        return pruned

    def going(self, unit: Unit) -> np.ndarray:
        """Returns what was picked to go, or would be now."""
        before = self.session.now() <= self.pick_step_number
        return ops.convert_to_numpy(unit.lowest() if before else unit.pruned)

    def picked(self, unit: Unit) -> np.ndarray:
        """Returns what was picked; where `fit` ended before the pick, what would be picked now."""
        if self.session.now() <= self.pick_step_number:
            unit.pruned.assign(unit.lowest())
        return unit.kept_indices()
