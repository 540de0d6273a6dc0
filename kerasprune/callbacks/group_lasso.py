"""Pushes whole coupled channels to zero: all weights that make or read one, by one norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from keras import ops

from kerasprune.backend.derivatives import measurement
from kerasprune.checks import choice_faults, fraction_faults, given_values, non_negative_faults
from kerasprune.criteria.base import Scores
from kerasprune.criteria.known_scores import KnownScores
from kerasprune.criteria.magnitude import L2
from kerasprune.defaults import AUTO, COUPLINGS
from kerasprune.errors import PruneError, make_or_note, raise_faults, warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan, plan_faults
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import as_patterns, trace, warn_of_unknown
from kerasprune.planning.budgets.base import Floor
from kerasprune.planning.budgets.global_threshold import ThresholdBudget
from kerasprune.planning.make_plan import plan as make_plan
from kerasprune.training.callback import PruningCallback
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.constraints import Decay
from kerasprune.training.regularizers.growing_norm import GrowingL2
from kerasprune.training.shrinkage import frozen_doubts

_NEAR_ZERO = 1e-30
_LEFT = 0.1  # of the norm of the kept channels: those removed still matter


class GroupLasso(PruningCallback):
    """Makes channels sparse by a group lasso over all kernels that make or read them; no BatchNorm is needed.

    The penalty is `λ Σ_c √n_c ‖w_c‖₂`, where w_c are the n_c weights of all kernels that make or read channel c, those
    of coupled layers together. It acts by its proximal step after every update, with learning rate η:
    `w_c ← max(1 − η·λ·√n_c / ‖w_c‖, 0)·w_c`, so a channel ends at exact zeros, which no BatchNorm scales up again. It
    passes through no momentum and is not divided by second moments, and adds nothing to the loss that is logged.

    With a plan the channels that it removes are pushed, with `keep` or `macs` all of them; then those of the smallest
    `‖w_c‖/√n_c` in the whole network are removed after the fit.

    Args:
        plan: The plan, made with any criterion. One of `plan`, `keep` and `macs` is given.
        keep: Fraction of the channels kept. Defaults to `None`.
        macs: Fraction kept of the dense model's multiply–adds. Defaults to `None`.
        strength: λ. Defaults to 1e-3.
        coupling: As for `kp.trace`; a plan has its own. Defaults to `"tied"`.
        freeze: Layers whose channels are all kept, as for `kp.trace`; not with a plan. Defaults to none.
        size: Size of the inputs at which multiply–adds are counted, see `kp.trace`. Defaults to the model's own.
        min_keep: Fewest channels kept in a group, as for `kp.plan`. Defaults to 1.
        round_to: The number of channels kept is a multiple of this. Defaults to `"auto"`: as for `kp.plan`, with
            `macs`; otherwise 1.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range; when `fit` begins, the model has nothing to push.

    Example:
        >>> GroupLasso(macs=0.5, strength=1e-2).strength
        0.01

    Reference:
        Yuan & Lin, Model Selection and Estimation in Regression with Grouped Variables, JRSS B 2006, Eq. 2.1; Wen et
        al., Learning Structured Sparsity in Deep Neural Networks, NeurIPS 2016; coupled groups: Fang et al., DepGraph,
        CVPR 2023, section 3.3.
    """

    takes = frozenset({"plan", "keep", "size"})
    pushes = "channel"

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        keep: float | None = None,
        macs: float | None = None,
        strength: float = 1e-3,
        coupling: str = "tied",
        freeze: Sequence[str] = (),
        size: Size | None = None,
        min_keep: float = 1,
        round_to: int | Literal["auto"] = AUTO,
        strict: bool = True,
    ) -> None:
        super().__init__(strict=strict)
        given = given_values(plan=plan, keep=keep, macs=macs)
        faults = fraction_faults(**given_values(keep=keep, macs=macs)) + choice_faults(COUPLINGS, coupling=coupling)
        faults += [] if plan is None else plan_faults(plan=plan)
        faults += non_negative_faults(strength=strength)
        if len(given) != 1:
            faults.append(f"Expected one of plan=, keep= and macs=. Received: {', '.join(given) or 'none'}.")
        if plan is not None and freeze:
            faults.append(f"Expected freeze= without a plan, which decides itself. Received: freeze={freeze!r}.")
        self.floor = make_or_note(faults, Floor, min_keep, round_to)
        self.freeze = make_or_note(faults, as_patterns, freeze)
        raise_faults("Invalid arguments for GroupLasso:", faults)
        self.asked, self.target = plan, given_values(keep=keep, macs=macs)
        self.strength, self.coupling, self.size = strength, coupling, size
        self._units: list[Unit] = []
        self._roots: dict[str, np.ndarray] = {}

    def begin(self) -> None:
        """Attaches the proximal step; an instance can be used for several fits."""
        self._set_plan = None
        self._graph, self._units = self.rehearse(self.model)
        self._roots = {unit.name: _roots(unit) for unit in self._units}
        vars(self).pop("_measured", None)
        for doubt in frozen_doubts(self._units):
            warn(doubt)
        for unit in self._units:
            self.session.track(unit.state, unit.pruned)
            shares = self.session.variable(f"shrunk/{unit.name}", np.zeros(unit.size, "float32"))
            self.session.before([part.variable for part in unit.parts], partial(self._write, unit, shares))
            for part in unit.parts:
                shrunk = Decay(GrowingL2.shrunk, partial(part.spread, shares), lambda: 1.0, self.session.due)
                self.session.constrain(part.variable, shrunk)

    def rehearse(self, model: Any) -> tuple[ChannelGraph, list[Unit]]:
        """Returns the graph of a model and the groups that are pushed.

        Raises:
            PruneError: There is none, or the target cannot be met.
        """
        coupling = self.coupling if self.asked is None else self.asked.coupling
        graph = trace(model, coupling=coupling, freeze=self.freeze, unknown="freeze", size=self.size)
        warn_of_unknown(graph, type(self).__name__)
        if self.asked is not None:
            self.asked.check(graph)
        units = []
        for name, group in graph.prunable.items():
            along = [*graph.made_by(name), *graph.read_by(name)]
            parts = tuple(Part(kernel.variable, axis, channel) for kernel, axis, channel in along)
            kept = range(group.size) if self.asked is None else self.asked.keep.get(name, range(group.size))
            gone = ~np.isin(np.arange(group.size), kept) if self.asked else np.ones(group.size, bool)
            if parts and gone.any():
                unit = Unit.of(name, group.size, 0, parts)
                unit.pruned.assign(gone)
                units.append(unit)
        if not units:
            raise PruneError(
                "Expected channels to push. Received: a model or a plan without any. Freeze less, or keep less."
            )
        if self.asked is None:
            self._planned(graph, {unit.name: np.ones(unit.size) for unit in units})
        return graph, units

    def _write(self, unit: Unit, shares: Any) -> None:
        """Stores what every channel loses, `min(η·λ·√n_c / ‖w_c‖, 1)`, once a step, before any of its kernels."""
        amounts = (
            self.session.rate() * self.strength * self._roots[unit.name] / ops.maximum(unit.scores(L2()), _NEAR_ZERO)
        )
        shares.assign(ops.where(ops.convert_to_tensor(unit.pruned), ops.minimum(amounts, 1.0), 0.0))

    def gauges(self) -> dict[str, float]:
        """Returns the penalty, and the share of the pushed channels that are zero."""
        norms = self.norms
        penalty = sum(
            float((self._roots[unit.name] * norms[unit.name])[self._pushed(unit)].sum()) for unit in self._units
        )
        pushed = np.concatenate([norms[unit.name][self._pushed(unit)] for unit in self._units])
        return {"group_lasso_penalty": self.strength * penalty, "zero_channels": float((pushed == 0).mean())}

    def end(self) -> None:
        """Makes the plan."""
        norms = self.norms
        if self.asked is not None:
            self._set_plan = replace(self.asked, fingerprint=self._graph.fingerprint, pushed=self.pushes)
        else:
            worth = {name: each / self._roots[name] for name, each in norms.items()}
            self._set_plan = replace(self._planned(self._graph, worth), pushed=self.pushes)
        stay, gone = self._split(norms)
        zeros = int((stay == 0).sum())
        if (left := _quotient(stay, gone)) > _LEFT:
            remedy = f", but its channels have {left:.2g} of the norm of the others. Raise strength=, or train longer."
            self._diagnosis.cut_short("take channels to zero", "before they were", remedy)
        elif zeros and self.asked is None:
            remedy = "Keep less, or lower strength=."
            said = f"{zeros} of the channels that the plan of GroupLasso keeps are zero, too. {remedy}"
            self._diagnosis.say_once("zeros", said)

    def _planned(self, graph: ChannelGraph, worth: Scores) -> Plan:
        """Returns the plan that meets the target with channels of such worth."""
        target = {"min_keep": self.floor.min_keep, "round_to": self.floor.round_to, **self.target}
        return make_plan(graph, KnownScores(worth), ThresholdBudget(), **target)

    @property
    def plan(self) -> Plan:
        """The plan for `kp.rebuild`, after `fit`."""
        if self._set_plan is None:
            raise PruneError("Expected a finished fit. Received: a callback that has not been used yet.")
        return self._set_plan

    @property
    def norms(self) -> dict[str, np.ndarray]:
        """`{group name: ‖w_c‖ of every channel}` at this moment."""
        self.used()
        _ = self.model  # on JAX this brings the variables up to date
        return dict(zip([unit.name for unit in self._units], self._measured(), strict=True))

    @cached_property
    def _measured(self) -> Any:
        """Measures the norms of all groups in one program."""
        weights = [part.variable for unit in self._units for part in unit.parts]
        return measurement(lambda: [unit.scores(L2()) for unit in self._units], weights)

    @property
    def removed_to_kept(self) -> float:
        """Mean norm of the channels that the plan removes ÷ that of those it keeps; `nan` without both."""
        return _quotient(*self._split(self.norms))

    def _split(self, norms: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the norms of the channels that the plan keeps, and of those that it removes, of all groups."""
        kept = [(unit, self.plan.keep.get(unit.name, range(unit.size))) for unit in self._units]
        stays = np.concatenate([np.isin(np.arange(unit.size), there) for unit, there in kept])
        together = np.concatenate([*norms.values()])
        return together[stays], together[~stays]

    @staticmethod
    def _pushed(unit: Unit) -> np.ndarray:
        return ops.convert_to_numpy(unit.pruned)


def _quotient(stay: np.ndarray, gone: np.ndarray) -> float:
    return float(gone.mean() / stay.mean()) if gone.size and stay.any() else float("nan")


def _roots(unit: Unit) -> np.ndarray:
    """Returns √n of every channel."""
    numbers = np.zeros(unit.size)
    for part in unit.parts:
        along = int(np.prod(part.variable.shape)) // part.variable.shape[part.axis]
        numbers += along * np.bincount(part.entry[part.entry >= 0], minlength=unit.size)
    return np.sqrt(numbers).astype("float32")
