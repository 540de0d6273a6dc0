"""Pushes a fixed set of filters, channels or weights to zero by a growing L2 or L1 penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from kerasprune.callbacks._growing import GrowingPenalty, keep_faults
from kerasprune.graph.plans import Plan, plan_faults
from kerasprune.graph.trace import trace
from kerasprune.training.candidates import Unit
from kerasprune.training.regularizers.growth import LinearGrowth


class GReg1(GrowingPenalty):
    """Pushes the channels that a plan removes to zero, slowly, so that the others can replace them.

    The loss is `L(w) + ½ Σ_j λ_j w_j²`. For the entries to remove, λ_j grows by the schedule: in the paper, `λ_j += δλ`
    every K_u steps, from step 0 until `λ_j = τ`, followed by K_s more steps. All other entries have λ = 0.

    For a quadratic loss with Hessian H and minimum w*, after λ grows by δλ the minimum is `(H + δλ·I)⁻¹ H w*`; for a
    diagonal H each weight shrinks by `1 / (δλ/h_ii + 1)`, so that flat directions shrink first. (The paper's Eq. 8
    for two coupled weights drops a term `δλ·h_12·w_2` of the same order as the effect.)

    Algorithm 1 of the paper removes the entries of smallest L1 norm *at the end*. Here the entries picked at the start
    are removed, so that the plan is known before the fit; `rerank=True` is the algorithm as printed. After the full
    schedule the two agree, unless kept entries shrank just as much.

    Args:
        plan: The plan, made with any criterion.
        keep: Instead of a plan: the fraction kept of the channels (or weights) of every group (or kernel), by L1 norm
            of the penalised weights, with residual trunks kept whole; or `{group name: fraction}` (`{layer name:
            fraction}` with `granularity="weight"`).
        schedule: How λ grows: `kp.schedules.LinearGrowth(step=…, every=…, ceiling=…, settle=…)`, as in the paper;
            `kp.schedules.GeometricGrowth(steps=600)` for short schedules; or a dict such as `{"name": "geometric",
            "steps": 600}` (without a name: linear growth). Defaults to `None`: `LinearGrowth()`.
        granularity: `"filter"`: the kernels that make the channels are penalised; `"channel"`: those that read them;
            `"scale"`: γ and β of the BatchNorms after them; `"weight"`: single weights. A BatchNorm undoes the
            shrinking of the filters before it, so a short schedule needs `"channel"` or `"scale"`. Defaults to
            `"filter"`.
        freeze: Names of layers, or wildcards, that are kept whole; only with `keep`. Defaults to none.
        rerank: Whether to remove the entries of smallest L1 norm at the end, instead of those that were pushed.
            Defaults to `False`.
        decoupled: Whether the penalty bypasses momentum and moments, like the weight decay of AdamW: `w_j ← (1 − η·λ_j)
            w_j` after the update with learning rate η. For optimizers that divide gradients by their magnitude (Adam,
            AdamW, Lion): with them, a weight that the loss opposes ends near 1/λ, and at zero if η·λ = 1, which is
            where geometric growth ends. Defaults to `False`.
        norm: The penalty: `"l2"`, or `"l1"`, `Σ_j λ_j |w_j|`, which pushes small weights as hard as large ones. In the
            loss it leaves weights that swing about zero by some η·λ, at the paper's τ more than a thousandth of the
            others; `decoupled=True` sets them to zero, `w_j ← sign(w_j) max(|w_j| − η·λ_j, 0)`. Defaults to `"l2"`.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: Neither or both of `plan` and `keep` are given, or an argument is out of range.

    Example:
        >>> callback = GReg1(keep=0.5)
        >>> callback.length  # (10,000 − 1) updates apart by 10 steps, then 5,000 steps
        104990

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, section 3.2 and Algorithm 1.
    """

    takes = frozenset({"plan", "keep"})

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        keep: float | Mapping[str, float] | None = None,
        schedule: Any = None,
        granularity: Any = "filter",
        freeze: Sequence[str] = (),
        rerank: bool = False,
        decoupled: bool = False,
        norm: str = "l2",
        strict: bool = True,
    ) -> None:
        faults = [] if keep is None else keep_faults(keep)
        if (plan is None) == (keep is None):
            faults.append("Expected either plan= or keep=. Received: " + ("neither." if plan is None else "both."))
        wrong = [] if plan is None else plan_faults(plan=plan)
        faults += wrong
        if plan is not None and not wrong and plan.removed:
            faults.append(
                f"Expected a plan of channels. Received: removed blocks {plan.removed}. Drop blocks with kp.rebuild."
            )
        if plan is not None and freeze:
            faults.append(f"Expected freeze= with keep= only, not with a plan. Received: freeze={freeze!r}.")
        if rerank and not wrong and plan is not None and plan.coupling == "padded":
            faults.append(
                "Expected a plan whose channels may be chosen again with rerank=True. Received: a plan of coupling "
                "'padded', which keeps the first channels of a trunk."
            )
        super().__init__(schedule, LinearGrowth(), keep, granularity, freeze, faults, decoupled, strict, norm)
        self._asked = plan
        self.rerank = rerank

    def units(self) -> tuple[Plan, list[Unit]]:
        """Returns the units; the entries to remove are picked here, at the start."""
        if self._asked is None:
            given, units = super().units()
            for unit in units:
                unit.pruned.assign(unit.lowest())
            return given, units
        plan = self._asked
        graph = trace(self.model, coupling=plan.coupling, unknown="freeze")
        if not plan.keep.keys() <= graph.groups.keys():
            graph.check_merged()  # the plan may be that of merged kernels
        plan.check(graph)
        units = self.pushed(graph, {name: len(kept) for name, kept in plan.keep.items()})
        for unit in units:
            unit.pruned.assign(~np.isin(np.arange(unit.size), plan.keep[unit.name]))
        return replace(plan, fingerprint=graph.fingerprint), units

    def picked(self, unit: Unit) -> np.ndarray:
        """Returns the entries kept, as picked at the start, or ranked again."""
        if self.rerank:
            unit.pruned.assign(unit.lowest())
        return super().picked(unit)

    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ, `min(δλ · (⌊step/K_u⌋ + 1), τ)` in the paper, for pruned entries, 0 for kept ones."""
        return ops.where(ops.convert_to_tensor(unit.pruned), self._law(step), 0.0)
