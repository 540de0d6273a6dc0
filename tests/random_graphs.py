"""Random models: what any builder might write, from the layers that have rules.

`STEPS` is the list to extend: a step takes a `Builder` and a tensor, and returns a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers, ops

SIDE = 6
WIDTHS = (2, 4, 6, 8)
ACTIVATIONS = ("elu", "gelu", "tanh", "softplus")


@dataclass
class Builder:
    """Draws choices, and remembers the tensors and layers that are there already.

    Args:
        draw: The `draw` of a hypothesis strategy.
        images: Tensors `(batch, height, width, channels)` that a step may go back to.
        convolutions: Layers that may be called once more, with the channels they take.
    """

    draw: Callable[[Any], Any]
    images: list[Any] = field(default_factory=list)
    convolutions: list[tuple[layers.Layer, int]] = field(default_factory=list)

    def pick(self, options: Any) -> Any:
        """Draws one of some options."""
        return self.draw(st.sampled_from(list(options)))

    def flag(self) -> bool:
        """Draws yes or no."""
        return self.draw(st.booleans())

    def partner(self, x: Any, channels: int | None = None) -> Any:
        """Returns a tensor of the same height and width, brought to `channels` where that is asked for."""
        fitting = [y for y in self.images if y.shape[1:3] == x.shape[1:3]] or [x]
        y = self.pick(fitting)
        return y if channels in (None, y.shape[-1]) else layers.Conv2D(channels, 1)(y)


def conv(build: Builder, x: Any) -> Any:
    filters = build.pick(WIDTHS)
    groups = build.pick([g for g in (1, 2, filters) if filters % g == 0 and x.shape[-1] % g == 0] or [1])
    kernel = build.pick((1, 2, 3)) if min(x.shape[1:3]) >= 3 else 1
    layer = layers.Conv2D(
        filters, kernel, padding=build.pick(("same", "valid")), groups=groups, use_bias=build.flag(),
        activation=build.pick((None, "elu")),
    )  # fmt: skip
    build.convolutions.append((layer, x.shape[-1]))
    return layer(x)


def strided(build: Builder, x: Any) -> Any:
    return layers.Conv2D(build.pick(WIDTHS), 2, strides=2, padding="same")(x)


def shared(build: Builder, x: Any) -> Any:
    fitting = [
        layer for layer, channels in build.convolutions if channels == x.shape[-1] and layer.kernel_size == (1, 1)
    ]
    return build.pick(fitting)(x) if fitting else conv(build, x)


def depthwise(build: Builder, x: Any) -> Any:
    if build.flag():
        return layers.Conv2D(x.shape[-1], 1, groups=x.shape[-1], use_bias=build.flag())(x)
    return layers.DepthwiseConv2D(2, padding="same", depth_multiplier=build.pick((1, 2)), use_bias=build.flag())(x)


def separable(build: Builder, x: Any) -> Any:
    return layers.SeparableConv2D(build.pick(WIDTHS), 2, padding="same", depth_multiplier=build.pick((1, 2)))(x)


def transposed(build: Builder, x: Any) -> Any:
    return layers.Conv2DTranspose(build.pick(WIDTHS), 2, padding="same", use_bias=build.flag())(x)


def norm(build: Builder, x: Any) -> Any:
    options = [layers.BatchNormalization, layers.BatchNormalization, layers.LayerNormalization, layers.RMSNormalization]
    if x.shape[-1] % 2 == 0 and x.shape[-1] > 2:
        options.append(lambda: layers.GroupNormalization(2))
    return build.pick(options)()(x)


def activation(build: Builder, x: Any) -> Any:
    options = [*ACTIVATIONS, "prelu", "shared prelu", "operation", "constant"]
    name = build.pick(options)
    if name == "prelu":
        return layers.PReLU()(x)
    if name == "shared prelu":
        return layers.PReLU(shared_axes=(1, 2))(x)
    if name == "operation":
        return ops.silu(x) + 0.1
    if name == "constant":
        return x * np.linspace(0.5, 1.5, x.shape[-1], dtype="float32")
    return layers.Activation(name)(x)


def add(build: Builder, x: Any) -> Any:
    y = build.partner(x, x.shape[-1])
    return layers.Add()([x, y]) if build.flag() else x + y


def residual(build: Builder, x: Any) -> Any:
    y = layers.Conv2D(build.pick(WIDTHS), 2, padding="same", use_bias=False)(x)
    y = layers.Activation("elu")(layers.BatchNormalization()(y))
    return layers.Add()([x, layers.Conv2D(x.shape[-1], 1)(y)])


def concatenate(build: Builder, x: Any) -> Any:
    parts = [x, *(build.partner(x) for _ in range(build.pick((1, 2))))]
    return layers.Concatenate()(parts) if sum(p.shape[-1] for p in parts) <= 24 else x


def repeat(build: Builder, x: Any) -> Any:
    return layers.Concatenate()([x, x]) if x.shape[-1] <= 12 else x


def gate(build: Builder, x: Any) -> Any:
    channels, reshaped = x.shape[-1], build.flag()
    y = layers.GlobalAveragePooling2D(keepdims=not reshaped)(x)
    y = layers.Reshape((1, 1, channels))(y) if reshaped else y
    y = layers.Conv2D(build.pick(WIDTHS), 1, activation="elu")(y)
    return layers.Multiply()([x, layers.Conv2D(channels, 1, activation="sigmoid")(y)])


def pool(build: Builder, x: Any) -> Any:
    if min(x.shape[1:3]) < 2:
        return x
    return build.pick((layers.MaxPooling2D, layers.AveragePooling2D))(2, strides=build.pick((1, 2)))(x)


def space(build: Builder, x: Any) -> Any:
    if max(x.shape[1:3]) > SIDE:
        return x
    return build.pick((lambda: layers.UpSampling2D(2), lambda: layers.ZeroPadding2D(1)))()(x)


def halves(build: Builder, x: Any) -> Any:
    if x.shape[-1] < 4:
        return x
    half = x.shape[-1] // 2
    left, right = (x[..., :half], x[..., half:]) if build.flag() else ops.split(x, [half], axis=-1)
    return layers.Concatenate()([right, layers.Activation("elu")(left)])


def permuted(build: Builder, x: Any) -> Any:
    return layers.Permute((2, 1, 3))(x)


def reshaped(build: Builder, x: Any) -> Any:
    height, width, channels = x.shape[1:]
    return layers.Reshape((width, height, channels))(x)


def nested(build: Builder, x: Any) -> Any:
    inner = keras.Sequential([layers.Conv2D(build.pick(WIDTHS), 1, name="same"), layers.BatchNormalization()])
    return inner(x)


STEPS: list[Callable[[Builder, Any], Any]] = [
    conv, conv, strided, shared, depthwise, separable, transposed, norm, norm, activation, activation, add, residual,
    concatenate, repeat, gate, pool, space, halves, permuted, reshaped, nested,
]  # fmt: skip


def ended(build: Builder, x: Any) -> Any:
    """Returns logits."""
    x = layers.Flatten()(x) if build.flag() and np.prod(x.shape[1:]) < 200 else layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(build.pick(WIDTHS), activation=build.pick((None, "elu")))(x) if build.flag() else x
    return layers.Dense(3)(x)


@st.composite
def models(draw: Any, most: int = 9) -> keras.Model:
    """A strategy of models of one or two inputs and one or two outputs."""
    build = Builder(draw)
    inputs = [keras.Input((SIDE, SIDE, 2)) for _ in range(build.pick((1, 1, 2)))]
    build.images = [layers.Conv2D(build.pick(WIDTHS), build.pick((1, 3)), padding="same")(x) for x in inputs]
    x = build.images[-1]
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=most)):
        x = step(build, x if build.pick((True, True, False)) else build.pick(build.images))
        build.images.append(x)
    ends = [x, build.pick(build.images)] if build.pick((True, False, False)) else [x]
    return keras.Model(inputs, [ended(build, end) for end in ends])
