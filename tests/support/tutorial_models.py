"""Models as tutorials write them: layers made of layers, and subclasses of `keras.Model`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

IMAGE, SEQUENCE = (16, 16, 3), (12, 8)


class ResidualBlock(layers.Layer):
    """With a projection where the stride is two; hands `training` on."""

    def __init__(self, filters, stride=1, **more):
        super().__init__(**more)
        self.first = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)
        self.norm = layers.BatchNormalization()
        self.second = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.last_norm = layers.BatchNormalization()
        self.projection = layers.Conv2D(filters, 1, stride, use_bias=False) if stride > 1 else None

    def call(self, x, training=None):
        y = ops.relu(self.norm(self.first(x), training=training))
        y = self.last_norm(self.second(y), training=training)
        return ops.relu(y + (x if self.projection is None else self.projection(x)))


class ResNet(keras.Model):
    """A subclassed model of composite layers in a list."""

    def __init__(self):
        super().__init__()
        self.stem = layers.Conv2D(8, 3, padding="same")
        self.blocks = [ResidualBlock(8), ResidualBlock(16, 2), ResidualBlock(16)]
        self.pool, self.head = layers.GlobalAveragePooling2D(), layers.Dense(5)

    def call(self, x, training=None):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.pool(x))


class Inception(layers.Layer):
    """Branches, one of them a Sequential."""

    def __init__(self, filters):
        super().__init__()
        self.one = layers.Conv2D(filters, 1, activation="relu")
        self.two = keras.Sequential([layers.Conv2D(filters, 1), layers.Conv2D(filters, 3, padding="same")])
        self.pool, self.three = layers.MaxPooling2D(3, 1, padding="same"), layers.Conv2D(filters, 1)

    def call(self, x):
        return ops.concatenate([self.one(x), self.two(x), self.three(self.pool(x))], axis=-1)


class SqueezeExcite(layers.Layer):
    """A gate."""

    def __init__(self, channels, ratio=4):
        super().__init__()
        self.pool = layers.GlobalAveragePooling2D(keepdims=True)
        self.squeeze = layers.Dense(channels // ratio, activation="relu")
        self.excite = layers.Dense(channels, activation="sigmoid")

    def call(self, x):
        return x * self.excite(self.squeeze(self.pool(x)))


class MixerBlock(layers.Layer):
    """Mixes positions, then channels."""

    def __init__(self, positions, channels):
        super().__init__()
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.mix = [layers.Dense(16, activation="gelu"), layers.Dense(positions)]
        self.expand = [layers.Dense(32, activation="gelu"), layers.Dense(channels)]

    def call(self, x):
        y = self.mix[1](self.mix[0](ops.transpose(self.norms[0](x), (0, 2, 1))))
        x = x + ops.transpose(y, (0, 2, 1))
        return x + self.expand[1](self.expand[0](self.norms[1](x)))


class ScaledBlock(layers.Layer):
    """ConvNeXt's block, with a weight of its own."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise, self.norm = layers.DepthwiseConv2D(7, padding="same"), layers.LayerNormalization()
        self.wide, self.narrow = layers.Dense(4 * channels, activation="gelu"), layers.Dense(channels)
        self.channels = channels

    def build(self, shape):
        self.gamma = self.add_weight(shape=(self.channels,), initializer="ones", name="gamma")
        super().build(shape)

    def call(self, x):
        return x + self.gamma * self.narrow(self.wide(self.norm(self.depthwise(x))))


class TokenAndPosition(layers.Layer):
    """Two embeddings."""

    def __init__(self, length, words, channels):
        super().__init__()
        self.token, self.position = layers.Embedding(words, channels), layers.Embedding(length, channels)

    def call(self, x):
        return self.token(x) + self.position(ops.arange(0, ops.shape(x)[-1], 1))


class SlicedPosition(layers.Layer):
    """A table of positions of its own, cut to the length of the input: as KerasHub's `PositionEmbedding`."""

    def __init__(self, length):
        super().__init__()
        self.length = length

    def build(self, shape):
        self.table = self.add_weight(shape=(self.length, shape[-1]), initializer="glorot_uniform", name="embeddings")
        super().build(shape)

    def call(self, x):
        shape = ops.shape(x)
        return ops.broadcast_to(ops.slice(self.table, (0, 0), (shape[-2], shape[-1])), shape)


class TokenAndSlicedPosition(layers.Layer):
    """An embedding of tokens plus a table of positions that is longer than the input."""

    def __init__(self, length, words, channels):
        super().__init__()
        self.token, self.position = layers.Embedding(words, channels), SlicedPosition(length)

    def call(self, x):
        x = self.token(x)
        return x + self.position(x)


class TransformerBlock(layers.Layer):
    """Attention and a feed-forward part, dropout in both."""

    def __init__(self, channels, heads, wide):
        super().__init__()
        self.attention = layers.MultiHeadAttention(heads, channels)
        self.feed = keras.Sequential([layers.Dense(wide, activation="relu"), layers.Dense(channels)])
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.drops = [layers.Dropout(0.1), layers.Dropout(0.1)]

    def call(self, x, training=False):
        x = self.norms[0](x + self.drops[0](self.attention(x, x), training=training))
        return self.norms[1](x + self.drops[1](self.feed(x), training=training))


class Conformer(layers.Layer):
    """Attention and a gated convolution."""

    def __init__(self, channels):
        super().__init__()
        self.feed = keras.Sequential([layers.LayerNormalization(), layers.Dense(16), layers.Dense(channels)])
        self.attention, self.norm = layers.MultiHeadAttention(2, channels // 2), layers.LayerNormalization()
        self.first, self.last = layers.Conv1D(2 * channels, 1), layers.Conv1D(channels, 1)
        self.depthwise, self.batch_norm = layers.DepthwiseConv1D(3, padding="same"), layers.BatchNormalization()

    def call(self, x, training=None):
        x = x + 0.5 * self.feed(x)
        y = self.norm(x)
        y = ops.glu(self.first(x + self.attention(y, y)), axis=-1)
        return x + self.last(ops.silu(self.batch_norm(self.depthwise(y), training=training)))


class Temporal(layers.Layer):
    """A block of a temporal convolutional network."""

    def __init__(self, filters, dilation):
        super().__init__()
        self.conv = layers.Conv1D(filters, 3, dilation_rate=dilation, padding="causal", activation="relu")
        self.drop, self.skip = layers.SpatialDropout1D(0.1), layers.Conv1D(filters, 1)

    def call(self, x, training=None):
        return self.drop(self.conv(x), training=training) + self.skip(x)


class Sampling(layers.Layer):
    """The mean, and noise while training."""

    def call(self, inputs, training=None):
        mean, variance = inputs
        if training:
            return mean + ops.exp(0.5 * variance) * keras.random.normal(ops.shape(mean))
        return mean


class Encoder(keras.Model):
    """Of a variational autoencoder: three outputs."""

    def __init__(self):
        super().__init__()
        self.conv, self.flat = layers.Conv2D(8, 3, 2, activation="relu"), layers.Flatten()
        self.dense, self.sample = layers.Dense(16), Sampling()
        self.mean, self.variance = layers.Dense(4), layers.Dense(4)

    def call(self, x):
        x = self.dense(self.flat(self.conv(x)))
        mean, variance = self.mean(x), self.variance(x)
        return mean, variance, self.sample([mean, variance])


class UNet(keras.Model):
    """Down, up, and a skip."""

    def __init__(self):
        super().__init__()
        self.top = layers.Conv2D(8, 3, padding="same", activation="relu")
        self.bottom = layers.Conv2D(16, 3, padding="same", activation="relu")
        self.pool, self.up, self.out = layers.MaxPooling2D(), layers.Conv2DTranspose(8, 2, 2), layers.Conv2D(2, 1)

    def call(self, x):
        top = self.top(x)
        return self.out(ops.concatenate([top, self.up(self.bottom(self.pool(top)))], -1))


class Discriminator(keras.Model):
    """Layers in a list."""

    def __init__(self):
        super().__init__()
        self.steps = [
            layers.Conv2D(8, 4, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3),
            layers.Conv2D(16, 4, 2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1),
        ]

    def call(self, x, training=None):
        for step in self.steps:
            x = step(x, training=training) if isinstance(step, layers.Dropout) else step(x)
        return x


class Siamese(keras.Model):
    """One encoder for two inputs, which come as a dict."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(8)])
        self.out = layers.Dense(1)

    def call(self, inputs):
        return self.out(ops.abs(self.encoder(inputs["left"]) - self.encoder(inputs["right"])))


class Recommender(keras.Model):
    """Two inputs of integers, as a list."""

    def __init__(self):
        super().__init__()
        self.users, self.items = layers.Embedding(10, 8), layers.Embedding(10, 8)
        self.dense, self.out = layers.Dense(16, activation="relu"), layers.Dense(1)

    def call(self, inputs):
        return self.out(self.dense(ops.concatenate([self.users(inputs[0]), self.items(inputs[1])], -1)))


class DetectorHead(layers.Layer):
    """Two outputs, as a dict."""

    def __init__(self, anchors, classes):
        super().__init__()
        self.tower = [layers.Conv2D(8, 3, padding="same", activation="relu") for _ in range(2)]
        self.classes, self.boxes = layers.Conv2D(anchors * classes, 1), layers.Conv2D(anchors * 4, 1)

    def call(self, x):
        for step in self.tower:
            x = step(x)
        return {"classes": self.classes(x), "boxes": self.boxes(x)}


class Branching(keras.Model):
    """Control flow on values: cannot be written out."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, x):
        if ops.sum(x) > 0:
            return self.dense(x)
        return self.dense(-x)


def chain(shape: tuple[int, ...], *steps: Any, dtype: str = "float32") -> keras.Model:
    """Returns a functional model of layers one after another."""
    inputs = x = keras.Input(shape, dtype=dtype)
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


def _head(classes: int = 3) -> list[Any]:
    return [layers.GlobalAveragePooling2D(), layers.Dense(classes)]


def _line_head(classes: int = 3) -> list[Any]:
    return [layers.GlobalAveragePooling1D(), layers.Dense(classes)]


MODELS = {
    "residual": (ResNet, IMAGE),
    "inception": (lambda: chain(IMAGE, layers.Conv2D(8, 3), Inception(8), Inception(8), *_head()), IMAGE),
    "squeeze and excite": (lambda: chain(IMAGE, layers.Conv2D(8, 3), SqueezeExcite(8), *_head()), IMAGE),
    "mixer": (lambda: chain(SEQUENCE, MixerBlock(12, 8), MixerBlock(12, 8), *_line_head()), SEQUENCE),
    "transformer": (
        lambda: chain((12,), TokenAndPosition(12, 20, 8), TransformerBlock(8, 2, 16), *_line_head(), dtype="int32"),
        (12,),
    ),
    "conformer": (lambda: chain(SEQUENCE, Conformer(8), *_line_head()), SEQUENCE),
    "temporal": (lambda: chain(SEQUENCE, Temporal(8, 1), Temporal(8, 2), *_line_head()), SEQUENCE),
    "keyword spotter": (
        lambda: chain(SEQUENCE, layers.Reshape((12, 8, 1)), layers.Conv2D(8, 3), SqueezeExcite(8), *_head()),
        SEQUENCE,
    ),
    "encoder": (Encoder, IMAGE),
    "u-net": (UNet, IMAGE),
    "discriminator": (Discriminator, IMAGE),
    "siamese": (Siamese, {"left": (8,), "right": (8,)}),
    "recommender": (Recommender, [(), ()]),
    "detector": (lambda: chain(IMAGE, layers.Conv2D(8, 3, 2, padding="same"), DetectorHead(2, 3)), IMAGE),
}


def built(name: str) -> tuple[keras.Model, Any]:
    """Returns a model with random weights that has been called, and a batch for it."""
    make, shape = MODELS[name]
    generator = np.random.default_rng(0)
    whole = name in ("transformer", "recommender")

    def draw(sides: tuple[int, ...]) -> np.ndarray:
        size = (4, *sides)
        return (
            generator.integers(0, 10, size).astype("int32") if whole else generator.normal(size=size).astype("float32")
        )

    if isinstance(shape, dict):
        batch = {key: draw(sides) for key, sides in shape.items()}
    else:
        batch = [draw(sides) for sides in shape] if isinstance(shape, list) else draw(shape)
    model = make()
    model(batch)
    for weight in model.weights:
        positive = any(word in weight.name for word in ("gamma", "variance"))
        value = generator.uniform(0.5, 1.5, weight.shape) if positive else generator.normal(0, 0.4, weight.shape)
        weight.assign(value)
    return model, batch
