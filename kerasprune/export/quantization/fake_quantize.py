"""Layers that round a tensor to the integers of its range: a range that follows the activations, or a fixed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers, ops

from kerasprune.errors import PruneError
from kerasprune.export.quantization.rounding import grid, read, round_activations

FASTEST = 0.01  # of a moving average after its first 100 steps; until then it is the mean of all steps


class Rounding(layers.Layer):
    """A layer that rounds: in float32, with the shape and the mask of its input.

    Args:
        name: Name of the layer.
        **settings: What it was made with, by which `Resume` tells models apart.
    """

    def __init__(self, name: str | None, /, **settings: Any) -> None:
        super().__init__(name=name, dtype="float32")
        self.supports_masking = True
        self._settings = settings

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the settings; a layer is not made from them."""
        return dict(self._settings)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Always raises: the layer belongs to the variables of a plain model."""
        raise PruneError(
            "Expected a plain model to copy. Received: one of kp.quantization_aware. Give aware.plain, the float model."
        )

    def _number(self, name: str, dtype: str) -> Any:
        return self.add_weight(shape=(), dtype=dtype, name=name, initializer="zeros", trainable=False, autocast=False)


class Range(Rounding):
    """Rounds to the 256 levels between two ends.

    Args:
        activation: The function whose outputs these are, or `None`.
        name: Name of the layer.
        **settings: As for `Rounding`.
    """

    def __init__(self, activation: Callable[..., Any] | None, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.activation = activation

    def ends(self) -> tuple[Any, Any]:
        """Returns the value of the lowest and of the highest integer, about."""
        raise NotImplementedError

    def step(self) -> Any:
        """Returns the distance between two levels."""
        return grid(*self.ends())[2]

    def call(self, x: Any) -> Any:
        """Returns the rounded tensor."""
        return round_activations(x, *self.ends())


class FixedRange(Range):
    """A range that the operator in the file has for all its inputs.

    Args:
        low: Value of the lowest integer.
        high: Value of the highest integer.
        activation: The function whose outputs these are. Defaults to `None`.
        name: Name of the layer. Defaults to `None`.
    """

    def __init__(
        self, low: float, high: float, activation: Callable[..., Any] | None = None, name: str | None = None
    ) -> None:
        super().__init__(activation, name, low=low, high=high)
        self.fixed = low, high
        self.in_integers = True

    def ends(self) -> tuple[Any, Any]:
        """Returns the two ends."""
        return tuple(ops.convert_to_tensor(end, "float32") for end in self.fixed)

    def call(self, x: Any) -> Any:
        """Returns the rounded tensor; for the converter as it is: it knows the range, and would take no second one."""
        return super().call(x) if self.in_integers else x


class FollowedRange(Range):
    """A range that follows the tensor in training, and is then held.

    With t training steps seen, `low ← low + max(1 / (t + 1), 0.01) · (min(x, 0) − low)` and likewise `high`, while
    t < `steps`. Tensors that must have one scale share the widest range of them all.

    Args:
        steps: Number of training steps after which the range is held.
        activation: The function whose outputs these are. Defaults to `None`.
        name: Name of the layer. Defaults to `None`.
    """

    def __init__(self, steps: int, activation: Callable[..., Any] | None = None, name: str | None = None) -> None:
        super().__init__(activation, name, steps=steps)
        self.steps = steps
        self.low, self.high = self._number("low", "float32"), self._number("high", "float32")
        self.seen = self._number("seen", "int32")
        self.scale = SharedScale([self])

    def ends(self) -> tuple[Any, Any]:
        """Returns the widest ends of all that share the scale."""
        return self.scale.ends()

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the rounded tensor; in training after the range has followed it."""
        if training:
            self._follow(ops.stop_gradient(x))
        return super().call(x)

    def _follow(self, x: Any) -> None:
        seen = read(self.seen)
        rate = ops.maximum(1.0 / (ops.cast(seen, "float32") + 1.0), FASTEST)
        rate = ops.where(seen < self.steps, rate, 0.0)
        self.low.assign(self.low + rate * (ops.minimum(ops.min(x), 0.0) - self.low))
        self.high.assign(self.high + rate * (ops.maximum(ops.max(x), 0.0) - self.high))
        self.seen.assign(seen + 1)


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
