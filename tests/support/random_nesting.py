"""Models in models, layers that are called twice, several inputs and outputs: parts of random models."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from support.random_builder import Builder, part
from support.random_parts import CONV, DEPTHWISE, SPACE


def _model(b: Builder, x: Any, parts: int, channels: int | None = None) -> keras.Model:
    """Returns a model of a few parts for tensors like `x`."""
    source = keras.Input(x.shape[1:])
    y = b.branch(source, parts, channels)
    return keras.Model(source, y if y is not source else layers.Identity()(y))


@part("nested")
def nested_model(b: Builder, x: Any) -> Any:
    return _model(b, x, b.whole(1, 3))(x)


@part("nested")
def nested_sequential(b: Builder, x: Any) -> Any:
    options = [
        lambda: layers.Dense(b.channels(), use_bias=b.chance(0.5)),
        layers.BatchNormalization,
        layers.ReLU,
        layers.LayerNormalization,
    ]
    if len(x.shape) > 2:
        options.append(lambda: CONV(x)(b.channels(), 3, padding="same"))
        options.append(lambda: DEPTHWISE(x)(3, padding="same", activation="relu"))
    return keras.Sequential([b.pick(options)() for _ in range(b.whole(1, 4))])(x)


@part("nested")
def nested_twice(b: Builder, x: Any) -> Any:
    inner = _model(b, x, 1, x.shape[-1] if b.chance(0.5) else None)
    first = inner(x)
    again = inner(b.wide(x, x.shape[-1]))
    return layers.Add()([first, again]) if b.chance(0.5) else layers.Concatenate()([first, again])


@part("nested")
def nested_with_two_inputs_and_outputs(b: Builder, x: Any) -> Any:
    y = b.wide(x)
    one, two = keras.Input(x.shape[1:]), keras.Input(y.shape[1:])
    joined = layers.Concatenate()([b.branch(one), two])
    inner = keras.Model([one, two], [b.wide(joined), b.branch(joined)])
    left, right = inner([x, y])
    return layers.Concatenate()([left, right]) if b.chance(0.5) else left * layers.Dense(left.shape[-1])(right)


@part("nested", SPACE)
def nested_with_free_sides(b: Builder, x: Any) -> Any:
    c = x.shape[-1]
    source = keras.Input((*[None] * (len(x.shape) - 2), c))
    y = layers.ReLU()(layers.BatchNormalization()(CONV(x)(b.channels(), 3, padding="same")(source)))
    y = layers.Add()([source, CONV(x)(c, 1)(y)])
    return keras.Model(source, y)(x)


@part("shared")
def shared_by_two(b: Builder, x: Any) -> Any:
    """One layer on what two others make."""
    c = b.channels()
    made = [
        layers.Dense(b.channels(), activation="relu"),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.PReLU(shared_axes=list(range(1, len(x.shape) - 1)) or None),
        layers.ReLU(),
        layers.Reshape((*x.shape[1:-1], c)),
    ]
    if len(x.shape) > 2:
        made += [CONV(x)(b.channels(), 3, padding="same"), DEPTHWISE(x)(3, padding="same")]
    shared = b.pick(made)
    left, right = shared(b.wide(x, c)), shared(b.wide(x, c))
    return b.pick((layers.Add(), layers.Concatenate()))([left, right])


@part("shared")
def shared_by_itself(b: Builder, x: Any) -> Any:
    shared = layers.Dense(x.shape[-1], activation="elu")
    return shared(shared(x))


# ---- inputs and outputs --------------------------------------------------------------------------------------


@part("ends")
def another_input(b: Builder, x: Any) -> Any:
    other = keras.Input((*x.shape[1:-1], b.whole(2, 4)))
    b.inputs.append(other)
    other = b.wide(other, x.shape[-1]) if b.chance(0.8) else b.pick((layers.Dense(x.shape[-1]), ops.tanh))(other)
    if other.shape[-1] == x.shape[-1] and b.chance(0.5):
        return layers.Add()([x, other])
    return layers.Concatenate()([x, other])


@part("ends")
def told_by_a_vector(b: Builder, x: Any) -> Any:
    """A vector scales the channels of a tensor."""
    vector = keras.Input((b.whole(3, 6),))
    b.inputs.append(vector)
    scale = layers.Dense(x.shape[-1], activation="sigmoid")(b.wide(vector))
    return x * layers.Reshape((*[1] * (len(x.shape) - 2), x.shape[-1]))(scale)


@part("ends")
def told_by_words(b: Builder, x: Any) -> Any:
    """Words are embedded and attended to, or averaged and joined."""
    words = keras.Input((b.whole(3, 5),), dtype="int32")
    b.inputs.append(words)
    seen = layers.Embedding(12, b.channels())(words)
    if len(x.shape) == 3:
        return layers.MultiHeadAttention(2, 3)(x, seen)
    seen = layers.Dense(x.shape[-1])(layers.GlobalAveragePooling1D()(b.branch(seen)))
    return x + layers.Reshape((*[1] * (len(x.shape) - 2), x.shape[-1]))(seen)


@part("ends")
def another_output(b: Builder, x: Any) -> Any:
    b.outputs.append(b.logits(x))
    return x


@part("ends")
def feature_as_output(b: Builder, x: Any) -> Any:
    x = b.wide(x)
    b.outputs.append(x)
    return x
