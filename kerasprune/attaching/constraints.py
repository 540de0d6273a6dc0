"""Constraints and attached penalties: what acts on built variables inside the compiled training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.attaching.in_step import state_variable


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
        self.watched = True  # but in an evaluation, which asks for penalties too


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
        self.reached |= self.watched
        value = ops.convert_to_tensor(self.inner(weight))
        value = value - ops.stop_gradient(value)
        return value if self.own is None else self.own(weight) + value


class AttachedConstraint(Attached, keras.constraints.Constraint):
    """A constraint as it is."""

    def __call__(self, weight: Any) -> Any:
        self.reached |= self.watched
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


class Before(keras.constraints.Constraint):
    """`w ← w`, after something else was done: what the constraints behind it read.

    Args:
        act: What is done. Called inside the compiled step.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def __call__(self, weight: Any) -> Any:
        self.act()
        return weight


class Mask(keras.constraints.Constraint):
    """`w ← w` where a weight stays, `+0.0` elsewhere; the same for what an optimizer remembers of it.

    Without the second part, momentum or an average of the weights would bring removed weights back to life.

    Args:
        kept: Returns a boolean tensor that broadcasts to the weight's shape. Called inside the compiled step.
        slots: Variables of the optimizer in the weight's shape. Defaults to none.

    Example:
        >>> import keras
        >>> weights = Mask(lambda: keras.ops.array([True, False]))(keras.ops.array([2.0, -3.0]))
        >>> weights.numpy().tolist()
        [2.0, 0.0]
    """

    def __init__(self, kept: Callable[[], Any], slots: Sequence[Any] = ()) -> None:
        self.kept = kept
        self.slots = tuple(slots)

    def __call__(self, weight: Any) -> Any:
        kept = self.kept()
        for slot in self.slots:
            slot.assign(_where(kept, slot))
        return _where(kept, weight)


def _where(kept: Any, values: Any, otherwise: Any = 0.0) -> Any:
    # Not a product: that leaves negative zeros, and turns infinity into NaN.
    values = ops.convert_to_tensor(values)
    return ops.where(kept, values, ops.cast(otherwise, values.dtype))


class Freeze(keras.constraints.Constraint):
    """`w ← held` where a weight is frozen, `w` elsewhere; to the optimizer it is a weight at rest.

    Args:
        frozen: Which weights are frozen: booleans that broadcast to the variable's shape, in a variable or an array.
        held: Their values, in the variable's shape.
        slots: Variables of the optimizer in the weight's shape, which become zero there. Defaults to none.
        averages: Those that hold averages of the weights, which become the values. Defaults to none.

    Example:
        >>> import keras, numpy as np
        >>> freeze = Freeze(np.array([True, False]), np.array([1.0, 1.0], "float32"))
        >>> freeze(keras.ops.array([2.0, -3.0])).numpy().tolist()
        [1.0, -3.0]
    """

    def __init__(self, frozen: Any, held: Any, slots: Sequence[Any] = (), averages: Sequence[Any] = ()) -> None:
        self.frozen = frozen
        self.held = held
        self.slots = tuple(slots)
        self.averages = tuple(averages)

    def __call__(self, weight: Any) -> Any:
        free, held = ops.logical_not(ops.convert_to_tensor(self.frozen)), ops.convert_to_tensor(self.held)
        for slot in self.slots:
            slot.assign(_where(free, slot))
        for average in self.averages:
            average.assign(_where(free, average, held))
        return _where(free, weight, held)


class Box(keras.constraints.Constraint):
    """`w ← min(max(w, low), high)`, entry by entry, after every step of the optimizer.

    The bounds are variables, so that they can be moved between two steps without making the step anew; where both are
    equal, the entry stands still.

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
        """Sets other bounds, from the next step on."""
        self.low.assign(low)
        self.high.assign(high)


class Decay(keras.constraints.Constraint):
    """`w ← max(1 − η·λ_j, 0)·w_j`, after the update of the weights: a weight decay of its own for every weight.

    A penalty in the loss goes through momentum and is divided by second moments; this one is neither.

    Args:
        strength: Returns λ as a tensor that broadcasts to the weight's shape. Called inside the compiled step.
        rate: Returns the learning rate η of the step.
        due: Returns whether this batch updates the weights; others are left alone, as under gradient accumulation.

    Example:
        >>> import keras
        >>> Decay(lambda: 2.5, lambda: 0.1, lambda: True)(keras.ops.array([4.0, -2.0])).numpy().tolist()
        [3.0, -1.5]

    Reference:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, Algorithm 2.
    """

    def __init__(self, strength: Callable[[], Any], rate: Callable[[], Any], due: Callable[[], Any]) -> None:
        self.strength, self.rate, self.due = strength, rate, due

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        stays = ops.cast(ops.maximum(1.0 - self.rate() * ops.convert_to_tensor(self.strength()), 0.0), weight.dtype)
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
