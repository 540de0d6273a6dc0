"""Checks that a callback acts: doubts when it begins, measurements after each epoch, an error at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from kerasprune.errors import raise_faults, warn
from kerasprune.surgery.custom_train_step import asks_for_losses, asks_for_updates
from kerasprune.training.optimizer import inner_optimizer, is_adaptive
from kerasprune.training.session import Session

_LOSSES = "Write loss = self.compute_loss(x, y, y_pred), or add sum(self.losses) to the loss."
_APPLY = "Update with self.optimizer.apply(gradients, self.trainable_variables), which applies masks and clamps."


class Diagnosis:
    """Checks whether one callback acts in one fit.

    Args:
        callback: The callback, whose own measurements are `shortfalls()`.
        said: What was said in the fits that this one continues. Defaults to nothing.
    """

    def __init__(self, callback: Any, said: Iterable[str] = ()) -> None:
        self.callback = callback
        self.said = set(said)
        self.trained = False
        self.found: list[str] | None = None

    def begin(self) -> None:
        """Warns before the first step of reasons why the callback may not act."""
        callback = self.callback
        if callback.goes_on and callback.finished:
            self.say_once(
                "ended",
                f"{type(callback).__name__} has ended its schedule in an earlier fit: its result is held, and it "
                "does nothing more. callback.reset() starts afresh.",
            )
        self._say(doubts(callback.session), "may not act")

    def begin_late(self, epoch: int, others: Iterable[Any]) -> None:
        """Warns of a schedule that begins in a fit that does not, unless it goes on or `Resume` is there.

        Args:
            epoch: The first epoch of the fit.
            others: The callbacks of the fit.
        """
        callback = self.callback
        counts = callback.scheduled and not callback.follows_weights
        if counts and not callback.goes_on and not any(each.restores for each in others):
            self.say_once(
                "begins",
                f"The fit begins with epoch {epoch}, {type(callback).__name__} with the first step of its schedule. "
                "Use kp.callbacks.Resume(folder) in both fits to continue one that was interrupted.",
            )

    def after_epoch(self) -> None:
        """Measures whether the callback acts; warns after the first epoch."""
        first = self.found is None
        self.found = [*unreached(self.callback.session), *self.callback.shortfalls()]
        if first:
            self._say(self.found, "does not act")

    def after_last_epoch(self) -> None:
        """Measures if the method's own hook has not called `after_epoch`, and checks that removed weights are zero."""
        callback = self.callback
        if self.found is None and self.trained:
            self.found = unreached(callback.session)
        held_by_hooks = callback.held is not None and not callback.session.attached("constraint")
        if held_by_hooks and not callback.held.holds():
            warn(
                f"Weights that {type(callback).__name__} has set to zero are not zero at the end of the fit: the "
                "moving average of the optimizer (use_ema), or another callback, has replaced them. The plan removes "
                "them all the same. Train for an epoch without it, or call kp.mask before you judge the model."
            )

    def end(self) -> None:
        """Reports the findings after the last epoch, at the end of the fit.

        Raises:
            PruneError: The callback did not act, and is strict.
        """
        faults, name = self.found or [], type(self.callback).__name__
        if self.callback.strict:
            raise_faults(
                f"{name} has not acted in this fit (strict=False warns only). The model is trained, and everything "
                "attached to it was removed.",
                faults,
            )
        self._say(faults, "has not acted")

    def cut_short(self, meant: str, after: str, remedy: str) -> None:
        """Warns that the fit has ended before the schedule of the callback.

        Args:
            meant: The goal of the callback, e.g. `"take 100 steps"`.
            after: When the fit ended, e.g. `"after 20"`.
            remedy: How far its result can be trusted, and the remedy.
        """
        result = "masks stand" if self.callback.leaves_masks else "plan stands"
        name = type(self.callback).__name__
        self.say_once("cut short", f"{name} was to {meant}; fit ended {after}. The {result}{remedy}")

    def say_once(self, what: str, message: str) -> None:
        """Warns, unless the same was said in this fit or one that it continues: one fit need not be the training."""
        if what not in self.said:
            self.said.add(what)
            warn(message)

    def _say(self, faults: list[str], when: str) -> None:
        for fault in faults:
            self.say_once(f"{when}: {fault}", f"{type(self.callback).__name__} {when}: {fault}")


def doubts(session: Session) -> list[str]:
    """Returns reasons, known before the first step, why attached parts may not act, each with its remedy."""
    model, found = session.model, []
    step = f"{type(model).__name__}.train_step"
    if session.attached("regularizer"):
        if not asks_for_losses(model):
            found.append(f"{step} seems to leave out self.losses, where the penalty is. {_LOSSES}")
        if is_adaptive(model.optimizer):
            found.append(
                f"{type(inner_optimizer(model.optimizer)).__name__} divides a gradient by its own size, a penalty in "
                "the loss included: weights that are pushed hardly shrink. Use decoupled=True, which applies the "
                "penalty apart from the moments, or SGD."
            )
    if session.attached("constraint") and not asks_for_updates(model):
        found.append(f"{step} seems to update weights without the optimizer, so nothing is held. {_APPLY}")
    return found


def unreached(session: Session) -> list[str]:
    """Returns the updates, penalties and constraints that the steps so far have left out, each with its remedy.

    An empty list means that every attached part is part of the step, not that it is strong enough.
    """
    model, found = session.model, []
    step = f"{type(model).__name__}.train_step"
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)  # may have skipped all updates so far
    if session.attached("regularizer") and session.batches() == 0 and not scaled:
        found.append(
            f"The optimizer has made no update, so the schedule stands at its first step: {step} updates weights by "
            f"itself. {_APPLY}"
        )
    for kind, remedy, what in (
        ("regularizer", _LOSSES, "does not add penalties to its loss"),
        ("constraint", _APPLY, "does not apply constraints, which hold masks and clamps"),
    ):
        parts = session.attached(kind)
        trained = [(variable, part) for variable, part in parts if variable.trainable]
        left = list(dict.fromkeys(variable.path for variable, part in trained if not part.reached))
        if parts and not trained:
            found.append("All variables that it acts on are frozen. Set layer.trainable = True.")
        elif left:
            found.append(f"{step} {what}, e.g. of {', '.join(left[:3])}. {remedy}")
    return found
