"""Penalties apart from the moments of an optimizer, as AdamW has its weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


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
        strength = self.strength()
        stays = ops.cast(ops.maximum(1.0 - self.rate() * ops.convert_to_tensor(strength), 0.0), weight.dtype)
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
