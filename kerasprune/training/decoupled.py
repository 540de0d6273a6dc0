"""Penalties apart from the moments of an optimizer, as AdamW has its weight decay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kerasprune.training.candidates import Part, Unit
from kerasprune.training.optimizer import ensure_built, trained
from kerasprune.training.session import Session


class Decay(keras.constraints.Constraint):
    """`w ← max(1 − η·λ_j, 0)·w_j`, after the update of the weights: a weight decay of its own for every weight.

    A penalty in the loss goes through momentum and is divided by second moments; this one is neither.

    Args:
        factor: Returns η·λ as a tensor that broadcasts to the weight's shape. Called inside the compiled step.
        due: Returns whether this batch updates the weights; others are left alone, as under gradient accumulation.

    Example:
        >>> import keras
        >>> Decay(lambda: 0.25, lambda: True)(keras.ops.array([4.0, -2.0])).numpy().tolist()
        [3.0, -1.5]

    Reference:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, Algorithm 2.
    """

    def __init__(self, factor: Callable[[], Any], due: Callable[[], Any]) -> None:
        self.factor, self.due = factor, due

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        stays = ops.cast(ops.maximum(1.0 - ops.convert_to_tensor(self.factor()), 0.0), weight.dtype)
        return ops.where(self.due(), stays * weight, weight)


class Push(keras.constraints.Constraint):
    """`w ← w − η·g`, after the update of the weights, up to zero: an entry that would change sign is 0.

    Args:
        amount: Returns η·g in the weight's shape. Called inside the compiled step.
        due: As for `Decay`.

    Example:
        >>> import keras
        >>> Push(lambda: keras.ops.array([1.0, 1.0]), lambda: True)(keras.ops.array([3.0, 0.5])).numpy().tolist()
        [2.0, 0.0]
    """

    def __init__(self, amount: Callable[[], Any], due: Callable[[], Any]) -> None:
        self.amount, self.due = amount, due

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        moved = weight - ops.cast(self.amount(), weight.dtype)
        moved = ops.where(weight * moved < 0, ops.zeros_like(moved), moved)
        return ops.where(self.due(), moved, weight)


def attach_decay(
    session: Session, units: Sequence[Unit], strengths: Sequence[Any], strength: Callable[[Unit, Any], Any]
) -> None:
    """Lets λ of units act as weight decay apart from the moments.

    λ is asked for once a step, before any kernel of the unit has decayed: the first kernel in the order of the
    optimizer writes it down, and the others read it.

    Args:
        session: The session of the callback.
        units: What is penalised.
        strengths: For every unit a variable of its size, where λ is written down.
        strength: Returns λ of every entry of a unit at a step.
    """
    ensure_built(session.model)
    order = {id(variable): index for index, variable in enumerate(trained(session.model.optimizer))}
    for unit, written in zip(units, strengths, strict=True):
        parts = sorted(unit.parts, key=lambda part: order.get(id(part.variable), len(order)))
        for index, part in enumerate(parts):
            write = _writer(session, unit, written, strength) if index == 0 else None
            session.constrain(part.variable, Decay(_factor(session, part, written, write), session.due))


def _writer(session: Session, unit: Unit, written: Any, strength: Callable[[Unit, Any], Any]) -> Callable[[], None]:
    return lambda: written.assign(strength(unit, session.step_after_update() - 1))


def _factor(session: Session, part: Part, written: Any, write: Callable[[], None] | None) -> Callable[[], Any]:
    def factor() -> Any:
        if write is not None:
            write()
        return session.rate() * part.spread(ops.convert_to_tensor(written))

    return factor
