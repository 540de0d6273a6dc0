"""Constraints that work on built variables, inside the compiled training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kerasprune.pairs import Pair


class Mask(keras.constraints.Constraint):
    """`w ← w` where a weight stays, `+0.0` elsewhere; the same for what an optimizer remembers of it.

    Without the second part, momentum or an average of the weights would bring removed weights back to life.

    Args:
        kept: Returns a boolean tensor that broadcasts to the weight's shape. Called inside the compiled step.
        slots: Variables of the optimizer in the weight's shape. Defaults to none.

    Example:
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


class Chain(Pair, keras.constraints.Constraint):
    """One constraint after another on one variable."""

    def __call__(self, weight: Any) -> Any:
        return self.second(self.first(weight))


def _where(kept: Any, values: Any) -> Any:
    # Not a product: that leaves negative zeros, and turns infinity into NaN.
    values = ops.convert_to_tensor(values)
    return ops.where(kept, values, ops.zeros_like(values))
