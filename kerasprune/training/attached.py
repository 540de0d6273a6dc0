"""What a callback puts on a variable: it does what it wraps, and notes whether a step has asked for it."""

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
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
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
        return value - ops.stop_gradient(value)


class AttachedConstraint(Attached, keras.constraints.Constraint):
    """A constraint as it is."""

    def __call__(self, weight: Any) -> Any:
        self._note()
        return self.inner(weight)
