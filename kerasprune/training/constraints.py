"""Constraints and attached penalties that act on built variables inside the compiled training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.training.in_step import state_variable


class Attached:
    """Base: records whether it was called while a training step was traced or run.

    Keras reads regularizers and constraints when it traces the step. A custom step may silently leave them out.

    Args:
        inner: The regularizer or constraint.
        own: The one already on the variable, which still acts, before it. Defaults to `None`.
    """

    def __init__(self, inner: Any, own: Any = None) -> None:
        self.inner = inner
        self.own = own
        self.reached = False
        self.watched = True  # except in an evaluation, which asks for penalties too


class AttachedPenalty(Attached, keras.regularizers.Regularizer):
    """`R(w) − stop(R(w))`: the gradient of a penalty, with the value zero.

    The logged `loss` is that of the task, whatever λ is, so `EarlyStopping` does not follow λ. The gradient is the same
    to the bit. The value of the penalty is logged separately.

    Example:
        >>> import keras
        >>> float(AttachedPenalty(keras.regularizers.L2(0.5))(keras.ops.ones((2,))))
        0.0
    """

    def __call__(self, weight: Any) -> Any:
        self.reached |= self.watched
        value = ops.convert_to_tensor(self.inner(weight))
        value = ops.cast(value - ops.stop_gradient(value), keras.config.floatx())  # that of the losses it is added to
        return value if self.own is None else ops.cast(self.own(weight), value.dtype) + value


class AttachedConstraint(Attached, keras.constraints.Constraint):
    """A constraint after the one already on the variable."""

    def __call__(self, weight: Any) -> Any:
        self.reached |= self.watched
        return self.inner(weight if self.own is None else self.own(weight))


_KINDS = {"regularizer": AttachedPenalty, "constraint": AttachedConstraint}


def attach(variable: Any, kind: str, inner: Any) -> Attached:
    """Puts a regularizer or constraint on a variable, in addition to an existing one, and returns the part.

    Args:
        variable: The variable.
        kind: `"regularizer"` or `"constraint"`.
        inner: The regularizer or constraint.
    """
    part = _KINDS[kind](inner, getattr(variable, kind))
    setattr(variable, kind, part)
    return part


def take_off(variable: Any, kind: str, part: Attached) -> None:
    """Removes from a variable the part that `attach` put on it, and nothing else."""
    above = getattr(variable, kind)
    if above is part:
        setattr(variable, kind, part.own)
        return
    while isinstance(above, Attached) and above.own is not part:
        above = above.own
    if isinstance(above, Attached):
        above.own = part.own


@dataclass(eq=False)
class Before(keras.constraints.Constraint):
    """Leaves a weight unchanged, and calls `act`, whose results the constraints after it read.

    Args:
        act: Called inside the compiled step.
    """

    act: Callable[[], None]

    def __call__(self, weight: Any) -> Any:
        self.act()
        return weight


@dataclass(eq=False)
class Mask(keras.constraints.Constraint):
    """`w ← w` for kept weights, `+0.0` for removed ones, in a weight and in its slots of the optimizer.

    Without the latter, momentum or an average of the weights would revive removed weights.

    Args:
        kept: Returns a boolean tensor that broadcasts to the weight's shape. Called inside the compiled step.
        slots: Variables of the optimizer in the weight's shape. Defaults to none.

    Example:
        >>> import keras
        >>> weights = Mask(lambda: keras.ops.array([True, False]))(keras.ops.array([2.0, -3.0]))
        >>> weights.numpy().tolist()
        [2.0, 0.0]
    """

    kept: Callable[[], Any]
    slots: Sequence[Any] = ()

    def __call__(self, weight: Any) -> Any:
        kept = self.kept()
        for slot in self.slots:
            slot.assign(_where(kept, slot))
        return _where(kept, weight)


def _where(kept: Any, values: Any, otherwise: Any = 0.0) -> Any:
    # Not a product: that leaves negative zeros, and turns infinity into NaN.
    values = ops.convert_to_tensor(values)
    return ops.where(kept, values, ops.cast(otherwise, values.dtype))


@dataclass(eq=False)
class Freeze(keras.constraints.Constraint):
    """`w ← held` for frozen weights, `w` for others.

    Args:
        frozen: Whether each weight is frozen: booleans that broadcast to the variable's shape, a variable or an array.
        held: Their values, in the variable's shape.
        slots: Variables of the optimizer in the weight's shape, set to zero for frozen weights. Defaults to none.
        averages: Averages of the weights in the optimizer, set to `held` for frozen weights. Defaults to none.

    Example:
        >>> import keras, numpy as np
        >>> freeze = Freeze(np.array([True, False]), np.array([1.0, 1.0], "float32"))
        >>> freeze(keras.ops.array([2.0, -3.0])).numpy().tolist()
        [1.0, -3.0]
    """

    frozen: Any
    held: Any
    slots: Sequence[Any] = ()
    averages: Sequence[Any] = ()

    def __call__(self, weight: Any) -> Any:
        free, held = ops.logical_not(ops.convert_to_tensor(self.frozen)), ops.convert_to_tensor(self.held)
        for slot in self.slots:
            slot.assign(_where(free, slot))
        for average in self.averages:
            average.assign(_where(free, average, held))
        return _where(free, weight, held)


class Box(keras.constraints.Constraint):
    """`w ← min(max(w, low), high)`, entry by entry, after every step of the optimizer.

    The bounds are variables, which can be changed between two steps without tracing the step again; an entry with equal
    bounds is constant.

    Args:
        low: Lower bounds, in the variable's shape or one that broadcasts to it.
        high: Upper bounds, likewise.

    Example:
        >>> import keras, numpy as np
        >>> Box(np.zeros(3), np.ones(3))(keras.ops.array([-1.0, 0.5, 2.0])).numpy().tolist()
        [0.0, 0.5, 1.0]
    """

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low = state_variable(np.asarray(low, "float32"), "low")
        self.high = state_variable(np.asarray(high, "float32"), "high")

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        low, high = (ops.cast(bound, weight.dtype) for bound in (self.low, self.high))
        return ops.minimum(ops.maximum(weight, low), high)

    def move(self, low: np.ndarray, high: np.ndarray) -> None:
        """Sets the bounds from the next step on."""
        self.low.assign(low)
        self.high.assign(high)


@dataclass(eq=False)
class Decay(keras.constraints.Constraint):
    """`w ← shrunk(w, η·λ_j)` after the update of the weights: a separate decay for every weight.

    Unlike a penalty in the loss, it passes through no momentum and is not divided by second moments.

    Args:
        shrunk: Returns a weight after a step along the penalty alone, given the weight and η·λ.
        strength: A function, called inside the compiled step, that returns λ as a tensor broadcastable to the weight.
        rate: Returns the learning rate η of the step.
        due: Returns whether this batch updates the weights; under gradient accumulation, not all do.

    Example:
        >>> import keras
        >>> halved = Decay(lambda weight, amount: (1 - amount) * weight, lambda: 5.0, lambda: 0.1, lambda: True)
        >>> halved(keras.ops.array([4.0, -2.0])).numpy().tolist()
        [2.0, -1.0]

    Reference:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, Algorithm 2.
    """

    shrunk: Callable[[Any, Any], Any]
    strength: Callable[[], Any]
    rate: Callable[[], Any]
    due: Callable[[], Any]

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        return ops.where(self.due(), self.shrunk(weight, self.rate() * ops.convert_to_tensor(self.strength())), weight)


@dataclass(eq=False)
class Push(keras.constraints.Constraint):
    """`w ← w − η·g` after the update of the weights; an entry that would change its sign becomes 0.

    Args:
        amount: Returns η·g in the weight's shape. Called inside the compiled step.
        due: As for `Decay`.

    Example:
        >>> import keras
        >>> Push(lambda: keras.ops.array([1.0, 1.0]), lambda: True)(keras.ops.array([3.0, 0.5])).numpy().tolist()
        [2.0, 0.0]
    """

    amount: Callable[[], Any]
    due: Callable[[], Any]

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        moved = weight - ops.cast(self.amount(), weight.dtype)
        moved = ops.where(weight * moved < 0, ops.zeros_like(moved), moved)
        return ops.where(self.due(), moved, weight)
