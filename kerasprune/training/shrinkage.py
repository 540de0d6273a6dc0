"""Checks that a penalty shrinks the weights it pushes: known obstacles at the beginning, norms during the fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasprune.backend.derivatives import measurement
from kerasprune.errors import first_of
from kerasprune.training.candidates import Unit
from kerasprune.training.damping import Damping
from kerasprune.training.optimizer import inner_optimizer
from kerasprune.training.regularizers.growing_norm import GrowingNorm
from kerasprune.training.session import Session

_ENOUGH = 2.0  # a penalty that alone would have shrunk weights by e⁻² has had its chance
_UNCHANGED = 0.9  # and has not acted if they are above this part of what they were
_RINGS = 1.01  # of critical damping, so that rounding does not count as ringing
_REMOVED = 1e-3  # of the kept weights: what the paper says is left of those removed
_LONG = 100.0  # exponent of decay of the papers' schedules, at least


@dataclass(frozen=True)
class Shrinkage:
    """The shrinking of the weights that a growing penalty pushes, compared with that by the penalty alone.

    At every look the notes of the session hold: the steps, λ, the exponent by which the penalty alone would have shrunk
    the pushed entries since the first step, and their relative norm before anything was pushed.

    Args:
        session: The session of the callback.
        units: The pushed units.
        undecided: Returns whether the entries of the lowest norms would be removed at this moment, not those marked.
        strengths: Returns λ of every entry of every unit at a step, as tensors; called while a program is traced.
        norm: The penalty. The exponent is that of L2, which L1 exceeds on weights below 1.
        decoupled: Whether the penalty bypasses momentum and moments.
    """

    session: Session
    units: Sequence[Unit]
    undecided: Callable[[], bool]
    strengths: Callable[[Any], Sequence[Any]]
    norm: type[GrowingNorm]
    decoupled: bool

    def __post_init__(self) -> None:
        self.session.notes["looks"] = np.array([self.session.now(), 0.0, 0.0, np.nan])

    @property
    def relative(self) -> float:
        """Mean |w| of the entries to be removed ÷ mean |w| of those kept, at this moment.

        Averaged over units, weighted by the number removed; `nan` if no unit has both.
        """
        return _relative(self._now())

    def begin_epoch(self) -> None:
        """Records the norms before anything is pushed."""
        if np.isnan(self.session.notes["looks"][3]):
            self.look()

    def look(self) -> None:
        """Adds the exponent by which the penalty alone would have shrunk the pushed entries since the last look."""
        last, before, chance, norm = self.session.notes["looks"]
        now, entries = self.session.now(), self._now()
        pushed = np.mean([_push(each) for each in entries])
        rate = gentlest_rate(self.session.model.optimizer, float(before + pushed) / 2, self.decoupled)
        chance += (now - last) * rate
        if chance == 0.0:  # nothing is pushed yet
            norm = _relative(entries)
        self.session.notes["looks"] = np.array([now, pushed, chance, norm])

    def shortfalls(self) -> list[str]:
        """Returns a fault if the pushed norms have not fallen, though the penalty would have shrunk them."""
        _, _, chance, before = self.session.notes["looks"]
        if chance < _ENOUGH or not (now := self.relative) > _UNCHANGED * before:
            return []
        remedy = "Take a larger learning rate or ceiling." if self.decoupled else "Use decoupled=True, or SGD."
        return [
            f"The pushed weights have not shrunk: their norm is {now:.2g} of that of the kept ones, {before:.2g} "
            f"before. The gradient of the penalty does not reach the weights. {remedy}"
        ]

    def gauges(self, label: str) -> dict[str, float]:
        """Returns the largest λ, the penalty, and the relative norm of the entries to be removed."""
        entries = self._now()
        penalty = sum(float(each.strengths @ np.sum(each.terms, axis=0, dtype="float64")) for each in entries)
        largest = max(float(each.strengths.max()) for each in entries)
        return {"penalty_strength": largest, f"{label}_penalty": penalty, "removed_to_kept": _relative(entries)}

    def _now(self) -> list[_Entries]:
        """Returns the entries of every unit at this moment."""
        which = 1 if self.undecided() else 0
        measured = self._measure(np.int32(self.session.now()))
        return [_Entries(norms, terms, going[which], strengths) for norms, terms, going, strengths in measured]

    @cached_property
    def _measure(self) -> Callable[[np.int32], list[Any]]:
        """Measures norms, terms, which entries go, if decided and if not, and λ at a step: one program for all."""
        units, undecided = self.units, self.undecided()

        def measured(step: Any) -> list[tuple[Any, list[Any], list[Any], Any]]:
            norms = [unit.scores() for unit in units]
            terms = [[part.scores(unit.size, self.norm.of) for part in unit.parts] for unit in units]
            marked = [ops.convert_to_tensor(unit.pruned) for unit in units]
            lowest = [unit.lowest() for unit in units] if undecided else marked  # once decided, it stays so
            going = [list(each) for each in zip(marked, lowest, strict=True)]
            return list(zip(norms, terms, going, self.strengths(step), strict=True))  # λ last: it may mark entries

        weights = {id(part.variable): part.variable for unit in units for part in unit.parts}
        return measurement(measured, [*weights.values(), *self.session.variables.values()])


class _Entries(NamedTuple):
    """Entries of a unit at one moment: their L1 norms, the penalty's terms for each part, which would go, and λ."""

    norms: np.ndarray
    terms: list[np.ndarray]
    going: np.ndarray
    strengths: np.ndarray


def _push(entries: _Entries) -> float:
    """Returns the difference of the mean λ of entries to be removed and of those kept."""
    goes, strengths = entries.going, entries.strengths
    return float(strengths[goes].mean() - strengths[~goes].mean()) if goes.any() and not goes.all() else 0.0


def _relative(entries: Sequence[_Entries]) -> float:
    """Returns mean |w| of the entries to be removed ÷ mean |w| of those kept, averaged over units."""
    ratios, numbers = [], []
    for each in entries:
        gone, norms = each.going, each.norms.astype("float64")
        if gone.any() and not gone.all():
            kept = norms[~gone].mean()
            ratios.append(norms[gone].mean() / kept if kept else float(norms[gone].any()))
            numbers.append(gone.sum())
    return float(np.average(ratios, weights=numbers)) if ratios else float("nan")


def schedule_doubts(law: Any, damping: Damping | None, undone: bool) -> list[str]:
    """Returns reasons why a schedule will not work, each with its remedy.

    Args:
        law: λ at a step, with its length and highest value.
        damping: The damping of the optimizer; `None` if unknown.
        undone: Whether filters are pushed before a BatchNorm.
    """
    if damping is None:  # `doubts` warns of Adam with a penalty in the loss
        return []
    products, found = damping.products(law, law.length), []
    if products.max() > _RINGS * law.highest(damping.critical):
        found.append(
            f"makes the pushed weights ring: learning rate · λ rises to {products.max():.2g}, beyond critical damping, "
            f"{damping.critical:.2g} with this optimizer. There a weight without other gradients swings through zero, "
            "and shrinks no faster. Take a smaller ceiling or learning rate, or, with GReg, .compressed(steps)."
        )
    exponent = damping.exponent(products, law.length)
    if undone and exponent < _LONG:
        found.append(
            "pushes filters before a BatchNorm, which scales their outputs up again: alone it would leave "
            f"exp(−{exponent:.3g}) of them, but the removed channels will still matter. More steps hardly help: after "
            "104,990, as in the paper, 2.6 % of the norm was left, with other granularities after 400 0.2 %. Take "
            'granularity="channel" or "scale", as .compressed does.'
        )
    return found


def swing_doubts(law: Any, damping: Damping | None, units: Iterable[Unit]) -> list[str]:
    """Returns a fault, with its remedy, if the sub-gradient of a norm leaves more than a thousandth of the weights.

    Pushed weights swing about zero by some η·λ, since the push is as large for a small weight as for a large one.

    Args:
        law: λ at a step, with its length.
        damping: The learning rate of the optimizer; `None` if unknown.
        units: The pushed units.
    """
    if damping is None:
        return []
    swing = float(damping.products(law, law.length)[-1])
    mean = np.mean([np.abs(ops.convert_to_numpy(part.variable)).mean() for unit in units for part in unit.parts])
    doubt = (
        f"leaves the pushed weights swinging about zero by some learning rate · λ, {swing:.2g} at the end; the weights "
        f"are {mean:.2g} now. Use decoupled=True, which sets them to zero, or a smaller ceiling."
    )
    return [doubt] if swing > _REMOVED * mean else []


def optimizer_doubts(optimizer: keras.Optimizer) -> list[str]:
    """Returns the conflicts of an optimizer with a growing penalty in the loss, each with its remedy."""
    inner, found = inner_optimizer(optimizer), []
    if inner.weight_decay:
        found.append(
            f"The optimizer decays weights by itself (weight_decay={inner.weight_decay}), outside the momentum; the "
            "method wants weight decay as an L2 term in the loss. Use kernel_regularizer instead."
        )
    limits = {name: getattr(inner, name) for name in ("clipnorm", "global_clipnorm", "clipvalue")}
    clipped = ", ".join(f"{name}={limit:g}" for name, limit in limits.items() if limit is not None)
    if clipped:
        found.append(
            f"The optimizer clips gradients ({clipped}), that of the penalty included, which grows: pushed weights may "
            "shrink no faster, or the penalty may crowd the loss out of the step. Use decoupled=True, which applies "
            "the penalty apart from the gradient, or do not clip."
        )
    return found


def frozen_doubts(units: Iterable[Unit]) -> list[str]:
    """Returns a fault, with its remedy, if frozen variables are not pushed."""
    frozen = [part.variable.path for unit in units for part in unit.parts if not part.variable.trainable]
    doubt = (
        f"Keras leaves frozen variables out of the loss, so the penalty does not push {first_of(frozen)}. Set "
        "layer.trainable = True, or leave them out of the plan."
    )
    return [doubt] if frozen else []


def reach_doubts(names: Iterable[str], granularity: str) -> list[str]:
    """Returns a fault, with its remedy, if no weights of a granularity hold the channels of the named groups."""
    left = sorted(names)
    doubt = (
        f"No weights of granularity {granularity!r} hold the channels of {first_of(left)}, so nothing pushes them. "
        "Take another granularity, or leave them out of the plan."
    )
    return [doubt] if left else []


def gentlest_rate(optimizer: keras.Optimizer, strength: float, decoupled: bool) -> float:
    """Returns the decrease per step of the logarithm of a weight under a penalty alone.

    `min(ηλ/(1−β), 1−√β)` with momentum β: above critical damping a heavy ball decays by √β a step, whatever λ is. `ηλ`
    for a decoupled penalty.

    Args:
        optimizer: The optimizer.
        strength: λ.
        decoupled: Whether the penalty bypasses momentum and moments.
    """
    inner = inner_optimizer(optimizer)
    momentum = 0.0 if decoupled else float(getattr(inner, "momentum", 0.0) or 0.0)
    shrinks = float(ops.convert_to_numpy(inner.learning_rate)) * max(strength, 0.0)
    return min(shrinks / (1 - momentum), 1 - momentum**0.5)
