"""Layers that round a tensor to the integers of its range: a range that follows the activations, or a fixed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers, ops

from kerasprune.quantization.rounding import grid, read, rounded

FASTEST = 0.01  # of a moving average after its first 100 steps; until then it is the mean of all steps


class FixedRange(layers.Layer):
    """Rounds to 256 levels of a range that the operator in the file has for all its inputs.

    Args:
        low: Value of the lowest integer.
        high: Value of the highest integer.
        activation: The function whose outputs these are. Defaults to `None`.
        name: Name of the layer. Defaults to `None`.
    """

    def __init__(
        self, low: float, high: float, activation: Callable[..., Any] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name=name, dtype="float32")
        self.ends, self.activation = (low, high), activation
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        """Returns the rounded tensor."""
        return rounded(x, *(ops.convert_to_tensor(end, "float32") for end in self.ends))

    def step(self) -> Any:
        """Returns the distance between two levels."""
        return grid(*(ops.convert_to_tensor(end, "float32") for end in self.ends))[2]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the input."""
        return input_shape


class FollowedRange(layers.Layer):
    """Rounds to 256 levels of a range that follows the tensor in training, and is then held.

    With t training steps seen, `low ← low + max(1 / (t + 1), 0.01) · (min(x, 0) − low)` and likewise `high`, while
    t < `steps`. Tensors that must have one scale share the widest range of them all.

    Args:
        steps: Number of training steps after which the range is held.
        activation: The function whose outputs these are. Defaults to `None`.
        name: Name of the layer. Defaults to `None`.
    """

    def __init__(self, steps: int, activation: Callable[..., Any] | None = None, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")
        self.steps, self.activation = steps, activation
        self.supports_masking = True
        self.low = self._number("low", "float32")
        self.high = self._number("high", "float32")
        self.seen = self._number("seen", "int32")
        self.scale = SharedScale([self])

    def _number(self, name: str, dtype: str) -> Any:
        return self.add_weight(shape=(), dtype=dtype, name=name, initializer="zeros", trainable=False, autocast=False)

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the rounded tensor; in training after the range has followed it."""
        if training:
            self._follow(ops.stop_gradient(x))
        return rounded(x, *self.scale.ends())

    def step(self) -> Any:
        """Returns the distance between two levels."""
        return grid(*self.scale.ends())[2]

    def _follow(self, x: Any) -> None:
        seen = read(self.seen)
        rate = ops.maximum(1.0 / (ops.cast(seen, "float32") + 1.0), FASTEST)
        rate = ops.where(seen < self.steps, rate, 0.0)
        self.low.assign(self.low + rate * (ops.minimum(ops.min(x), 0.0) - self.low))
        self.high.assign(self.high + rate * (ops.maximum(ops.max(x), 0.0) - self.high))
        self.seen.assign(seen + 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the input."""
        return input_shape


class SharedScale:
    """The one range of tensors that must have the same scale; a plain object, which Keras does not track.

    Args:
        members: The layers whose ranges it covers.
    """

    def __init__(self, members: list[FollowedRange]) -> None:
        self.members = members

    def join(self, other: SharedScale) -> None:
        """Takes over the members of another."""
        if other is not self:
            self.members += other.members
            for member in other.members:
                member.scale = self

    def ends(self) -> tuple[Any, Any]:
        """Returns the lowest and the highest end of all members."""
        low, high = ([read(getattr(member, end)) for member in self.members] for end in ("low", "high"))
        return ops.min(ops.stack(low)), ops.max(ops.stack(high))


Range = FixedRange | FollowedRange
