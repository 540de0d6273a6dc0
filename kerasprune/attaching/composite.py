"""What a callback puts on a variable, together with what is there: both act, and it notes whether a step asks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Attached:
    """Base: notes whether it was called while a training step was traced or run.

    Keras reads regularizers and constraints when it traces the step. A step that leaves them out never calls them, and
    nothing else says so.

    Args:
        inner: The regularizer or constraint.
        own: What is on the variable already, which goes on acting before it. Defaults to `None`: nothing.
    """

    def __init__(self, inner: Any, own: Any = None) -> None:
        self.inner = inner
        self.own = own
        self.reached = False
        self.watched = True

    def _note(self) -> None:
        self.reached = self.reached or self.watched  # an evaluation asks for penalties too, and is not watched


class AttachedPenalty(Attached, keras.regularizers.Regularizer):
    """`R(w) − stop(R(w))`: the gradient of a penalty, with the value zero.

    So the logged `loss` is that of the task, whatever λ is, and what watches it, such as `EarlyStopping`, does not
    follow λ. The gradient is the same to the bit. The value of the penalty is a log of its own.

    Example:
        >>> import keras
        >>> float(AttachedPenalty(keras.regularizers.L2(0.5))(keras.ops.ones((2,))))
        0.0
    """

    def __call__(self, weight: Any) -> Any:
        self._note()
        value = ops.convert_to_tensor(self.inner(weight))
        value = value - ops.stop_gradient(value)
        return value if self.own is None else self.own(weight) + value


class AttachedConstraint(Attached, keras.constraints.Constraint):
    """A constraint as it is."""

    def __call__(self, weight: Any) -> Any:
        self._note()
        return self.inner(weight if self.own is None else self.own(weight))


_KINDS = {"regularizer": AttachedPenalty, "constraint": AttachedConstraint}


def attach(variable: Any, kind: str, inner: Any) -> Attached:
    """Puts a regularizer or constraint on a variable; one that is there goes on acting.

    Args:
        variable: The variable.
        kind: `"regularizer"` or `"constraint"`.
        inner: What is put on.

    Returns:
        What stands on the variable, to be taken off again.
    """
    part = _KINDS[kind](inner, getattr(variable, kind))
    setattr(variable, kind, part)
    return part


def take_off(variable: Any, kind: str, part: Attached) -> None:
    """Takes what `attach` has put on a variable off it, and nothing else."""
    above = getattr(variable, kind)
    if above is part:
        setattr(variable, kind, part.own)
        return
    while isinstance(above, Attached) and above.own is not part:
        above = above.own
    if isinstance(above, Attached):
        above.own = part.own
