"""Whether a callback acts: what can be known when it begins, and what is seen after an epoch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasprune.errors import warn
from kerasprune.training.optimizer import unwrapped
from kerasprune.training.own_step import asks_for_losses, asks_for_updates
from kerasprune.training.session import Session

_ADAPTIVE = (
    keras.optimizers.Adadelta,
    keras.optimizers.Adafactor,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,  # AdamW is one
    keras.optimizers.Adamax,
    keras.optimizers.Ftrl,
    keras.optimizers.Lamb,
    keras.optimizers.Lion,
    keras.optimizers.Muon,
    keras.optimizers.Nadam,
    keras.optimizers.RMSprop,
)
_LOSSES = "Write loss = self.compute_loss(x, y, y_pred), or add sum(self.losses) to the loss."
_APPLY = "Update with self.optimizer.apply(gradients, self.trainable_variables), which applies masks and clamps."


def is_adaptive(optimizer: keras.Optimizer) -> bool:
    """Returns whether an optimizer divides gradients by their own size, or takes their sign."""
    return isinstance(unwrapped(optimizer), _ADAPTIVE)


def doubts(session: Session) -> list[str]:
    """Returns what is known, before the first step, to keep what is attached from acting; with the remedy."""
    model, found = session.model, []
    step = f"{type(model).__name__}.train_step"
    if session.attached("regularizer"):
        if not asks_for_losses(model):
            found.append(f"{step} seems to leave out self.losses, where the penalty is. {_LOSSES}")
        if is_adaptive(model.optimizer):
            found.append(
                f"{type(unwrapped(model.optimizer)).__name__} divides a gradient by its own size, a penalty in the "
                "loss included: weights that are pushed hardly shrink. Use decoupled=True, which applies the penalty "
                "apart from the moments, or SGD."
            )
    if session.attached("constraint") and not asks_for_updates(model):
        found.append(f"{step} seems to update weights without the optimizer, so nothing is held. {_APPLY}")
    return found


def unreached(session: Session) -> list[str]:
    """Returns what the steps so far have left out: updates, penalties, constraints; with the remedy.

    An empty list says that all that was attached is part of the step, not that it is strong enough.
    """
    model, found = session.model, []
    step = f"{type(model).__name__}.train_step"
    if session.attached("regularizer") and session.batches() == 0 and not _scaled(session):
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
        left = [variable.path for variable, part in trained if not part.reached]
        if parts and not trained:
            found.append("All variables that it acts on are frozen. Set layer.trainable = True.")
        elif left:
            found.append(f"{step} {what}, e.g. of {', '.join(left[:3])}. {remedy}")
    return found


def _scaled(session: Session) -> bool:
    """Returns whether loss scaling may have skipped all updates so far: that is no fault of the step."""
    return isinstance(session.model.optimizer, keras.optimizers.LossScaleOptimizer)


def say(callback: Any, faults: list[str], when: str) -> None:
    """Warns that a callback does not act."""
    for fault in faults:
        warn(f"{type(callback).__name__} {when}: {fault}")


def gentlest_rate(optimizer: keras.Optimizer, strength: float, decoupled: bool) -> float:
    """Returns by how much a step shrinks the logarithm of a weight that a penalty pushes and nothing else.

    `min(ηλ/(1−β), 1−√β)` with momentum β: beyond critical damping a heavy ball decays by √β a step, whatever λ is.
    `ηλ` where the penalty stands apart from momentum and moments.

    Args:
        optimizer: The optimizer.
        strength: λ.
        decoupled: Whether the penalty stands apart.
    """
    inner = unwrapped(optimizer)
    momentum = 0.0 if decoupled else float(getattr(inner, "momentum", 0.0) or 0.0)
    shrinks = float(ops.convert_to_numpy(inner.learning_rate)) * max(strength, 0.0)
    return min(shrinks / (1 - momentum), 1 - momentum**0.5)
