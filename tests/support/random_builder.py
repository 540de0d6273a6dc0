"""What random models are built with: the random numbers that decide, and a register of parts to draw from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from keras import layers, ops

LONGEST, WIDEST = 16, 12
ACTIVATIONS = (None, None, "relu", "relu", "elu", "tanh", "gelu")


@dataclass(frozen=True)
class Part:
    """Something that a model can contain: a layer, an operation, or a few of them in their usual arrangement.

    Args:
        family: What it is drawn under; families are drawn equally often.
        ranks: Ranks of the tensors it takes, batch axis included: 2 vectors, 3 sequences, 4 images.
        keeps: Whether all axes but the channels stay as long as they are, so that it may stand in a branch.
        make: `make(builder, x) -> y`.
    """

    family: str
    ranks: tuple[int, ...]
    keeps: bool
    make: Callable[[Builder, Any], Any]


PARTS: dict[str, Part] = {}
"""All parts by name."""


def part(
    family: str, ranks: Sequence[int] = (2, 3, 4), keeps: bool = True, name: str = ""
) -> Callable[[Callable], Callable]:
    """Registers `make(builder, x) -> y`."""

    def register(make: Callable) -> Callable:
        key = name or make.__name__
        assert key not in PARTS, f"two parts are called {key!r}"
        PARTS[key] = Part(family, tuple(ranks), keeps, make)
        return make

    return register


class Builder:
    """Builds one model, or the inside of a nested one, as the random numbers say.

    Args:
        random: The random numbers.
        depth: How many models and branches it lies inside.
    """

    def __init__(self, random: np.random.Generator, depth: int = 0) -> None:
        self.random = random
        self.depth = depth
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def chance(self, probability: float) -> bool:
        """Returns `True` with a probability."""
        return bool(self.random.random() < probability)

    def pick(self, options: Sequence[Any]) -> Any:
        """Returns one of the options."""
        return options[int(self.random.integers(len(options)))]

    def whole(self, low: int, high: int) -> int:
        """Returns an integer between both, both included."""
        return int(self.random.integers(low, high + 1))

    def channels(self) -> int:
        """Returns a number of channels."""
        return self.whole(3, 10)

    def activation(self) -> str | None:
        """Returns the name of an activation that leaves channels in their lanes, or none."""
        return self.pick(ACTIVATIONS)

    def wide(self, x: Any, channels: int | None = None, multiple: int = 1) -> Any:
        """Returns what a layer makes of `x`: so many channels, or a random multiple of `multiple`."""
        channels = channels or multiple * self.whole(-(-3 // multiple), max(2, WIDEST // multiple))
        bias, activation = self.chance(0.7), self.activation()
        rank = len(x.shape)
        if rank > 2 and self.chance(0.7):
            cls = layers.Conv1D if rank == 3 else layers.Conv2D
            return cls(channels, self.pick((1, 1, 3)), padding="same", use_bias=bias, activation=activation)(x)
        return layers.Dense(channels, use_bias=bias, activation=activation)(x)

    def multiple(self, x: Any, of: int) -> Any:
        """Returns `x`, widened where its channels are no multiple of a number."""
        return x if x.shape[-1] % of == 0 and x.shape[-1] > of else self.wide(x, multiple=of)

    def inside(self) -> Builder:
        """Returns a builder for a branch or a nested model."""
        return Builder(self.random, self.depth + 1)

    def branch(self, x: Any, parts: int = 1, channels: int | None = None) -> Any:
        """Returns what a few parts make of `x`, all axes but the channels as long as they were."""
        inner = self.inside()
        for _ in range(parts):
            x = inner.step(x, keeps=True)
        return inner.wide(x, channels) if channels else x

    def step(self, x: Any, keeps: bool = False) -> Any:
        """Returns what a random part makes of `x`."""
        here = [
            p
            for p in PARTS.values()
            if len(x.shape) in p.ranks
            and (p.keeps or not keeps)
            and (self.depth < 2 or p.family not in _BRANCHING)
            and (not self.depth or p.family != "ends")
        ]
        family = self.pick(sorted({p.family for p in here}))
        return self.apply(self.pick([p for p in here if p.family == family]), x)

    def apply(self, chosen: Part, x: Any) -> Any:
        """Returns what a part makes of `x`, brought to a rank that it takes, and kept small."""
        if len(x.shape) not in chosen.ranks:
            x = self.at_rank(x, self.pick(chosen.ranks))
        if chosen.family == "composites" and x.sparse and len(x.shape) == 4:
            return x  # Keras 3.15 takes a product with a number to be sparse, and has no dense layer on sparse images
        made = chosen.make(self, x)
        if None in made.shape[1:] and None not in x.shape[1:]:
            return x  # Keras 3.15 infers no shape for some products of products
        return self.small(made)

    # ---- shapes -----------------------------------------------------------------------------------------------

    def at_rank(self, x: Any, rank: int) -> Any:
        """Returns `x` as vectors, sequences or images, by one of the usual ways."""
        steps = {(4, 2): _IMAGE_TO_VECTOR, (4, 3): _IMAGE_TO_LINE, (3, 2): _LINE_TO_VECTOR}
        steps |= {(3, 4): _LINE_TO_IMAGE, (2, 3): _VECTOR_TO_LINE, (2, 4): _VECTOR_TO_IMAGE}
        return x if len(x.shape) == rank else self.small(self.pick(steps[len(x.shape), rank])(self, x))

    def roomy(self, x: Any, side: int = 4) -> Any:
        """Returns `x`, its positions repeated where there are fewer than `side` along an axis."""
        while len(x.shape) == 3 and x.shape[1] < side:
            x = layers.UpSampling1D(2)(x)
        while len(x.shape) == 4 and min(x.shape[1:3]) < side:
            x = layers.UpSampling2D(tuple(2 if s < side else 1 for s in x.shape[1:3]))(x)
        return x

    def even(self, x: Any) -> Any:
        """Returns `x` with even sides."""
        x = self.roomy(x)
        odd = [side % 2 for side in x.shape[1:-1]]
        if len(x.shape) == 3 and odd[0]:
            return layers.Cropping1D((0, 1))(x)
        if len(x.shape) == 4 and any(odd):
            return layers.Cropping2D(tuple((0, one) for one in odd))(x)
        return x

    def small(self, x: Any) -> Any:
        """Returns `x`, made smaller where it is long or wide."""
        while len(x.shape) == 3 and x.shape[1] > LONGEST:
            x = self.pick((layers.MaxPooling1D, layers.AveragePooling1D))(2)(x)
        while len(x.shape) == 4 and max(x.shape[1:3]) > 8:
            x = self.pick((layers.MaxPooling2D, layers.AveragePooling2D))(2, padding="same")(x)
        return self.wide(x) if x.shape[-1] > 2 * WIDEST else x

    def logits(self, x: Any) -> Any:
        """Returns a few numbers that depend on all of `x`."""
        if len(x.shape) > 2 and self.chance(0.15):
            return layers.Dense(self.whole(2, 3))(x)
        return layers.Dense(self.whole(2, 4))(self.at_rank(x, 2))


_BRANCHING = ("residual", "branches", "nested", "shared")


def _as_grid(b: Builder, x: Any) -> Any:
    """A dense layer whose units become rows of channels."""
    c = b.whole(2, 6)
    sides = (b.whole(3, 5),) if b.chance(0.5) else (b.whole(2, 4), b.whole(2, 4))
    x = layers.Dense(prod(sides) * c, activation=b.activation())(x)
    shape = (*sides, c)
    return layers.Reshape(shape)(x) if b.chance(0.5) else ops.reshape(x, (-1, *shape))


def _only(rank: int, make: Callable) -> Callable:
    """Returns a conversion that is repeated until it has hit a rank."""

    def until(b: Builder, x: Any) -> Any:
        y = make(b, x)
        return y if len(y.shape) == rank else b.at_rank(y, rank)

    return until


_IMAGE_TO_VECTOR = (
    lambda b, x: layers.Flatten()(x),
    lambda b, x: layers.Flatten()(layers.MaxPooling2D(2, padding="same")(x)),
    lambda b, x: layers.GlobalAveragePooling2D()(x),
    lambda b, x: layers.GlobalMaxPooling2D()(x),
    lambda b, x: ops.mean(x, axis=(1, 2)),
    lambda b, x: layers.Reshape((-1,))(x),
    lambda b, x: ops.reshape(x, (-1, prod(x.shape[1:]))),
    lambda b, x: ops.squeeze(layers.GlobalAveragePooling2D(keepdims=True)(x), axis=(1, 2)),
)
_IMAGE_TO_LINE = (
    lambda b, x: layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x),
    lambda b, x: layers.Reshape((-1, x.shape[3]))(x),
    lambda b, x: ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])),
    lambda b, x: layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x),
    lambda b, x: layers.TimeDistributed(layers.GlobalAveragePooling1D())(x),
    lambda b, x: ops.max(x, axis=b.pick((1, 2))),
    lambda b, x: x[:, 0],
)
_LINE_TO_VECTOR = (
    lambda b, x: layers.Flatten()(x),
    lambda b, x: layers.Flatten()(layers.Permute((2, 1))(x)),
    lambda b, x: layers.GlobalAveragePooling1D()(x),
    lambda b, x: layers.GlobalMaxPooling1D()(x),
    lambda b, x: x[:, -1],
    lambda b, x: ops.reshape(x, (-1, x.shape[1] * x.shape[2])),
)
_LINE_TO_IMAGE = (
    lambda b, x: layers.Reshape((x.shape[1], 1, x.shape[2]))(x),
    lambda b, x: ops.expand_dims(x, b.pick((1, 2))),
    lambda b, x: x[:, None],
    lambda b, x: layers.Reshape((2, -1, x.shape[2]))(b.even(x)),
    lambda b, x: layers.Reshape((x.shape[1], 2, x.shape[2] // 2))(x) if x.shape[2] % 2 == 0 else x[:, :, None],
)
_VECTOR_TO_LINE = (
    lambda b, x: layers.RepeatVector(b.whole(2, 4))(x),
    lambda b, x: ops.expand_dims(x, 1),
    lambda b, x: x[:, None],
    _only(3, _as_grid),
)
_VECTOR_TO_IMAGE = (
    lambda b, x: layers.Reshape((1, 1, x.shape[1]))(x),
    lambda b, x: x[:, None, None],
    _only(4, _as_grid),
)
