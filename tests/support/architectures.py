"""Small functional twins of well-known architectures, for tests: transformers, shuffles, pyramids, shared towers."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops


def vit(size: int = 32, patch: int = 8, width: int = 24, heads: int = 4, depth: int = 2) -> keras.Model:
    """A vision transformer: patches, class token by padding, learned positions, MultiHeadAttention, MLPs."""
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(width, patch, patch, name="patches")(images)
    tokens = (size // patch) ** 2
    x = layers.Reshape((tokens, width), name="tokens")(x)
    x = ops.pad(x, [[0, 0], [1, 0], [0, 0]])  # room for the class token
    x = x + np.random.default_rng(0).normal(size=(tokens + 1, 1)).astype("float32")
    for block in range(depth):
        y = layers.LayerNormalization(name=f"norm{block}a")(x)
        y = layers.MultiHeadAttention(heads, width // heads, name=f"attention{block}")(y, y)
        x = layers.Add(name=f"add{block}a")([x, y])
        y = layers.LayerNormalization(name=f"norm{block}b")(x)
        y = layers.Dense(4 * width, activation="gelu", name=f"mlp{block}a")(y)
        y = layers.Dense(width, name=f"mlp{block}b")(y)
        x = layers.Add(name=f"add{block}b")([x, y])
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(images, layers.Dense(10, name="logits")(x[:, 0]), name="vit")


def swin(side: int = 8, window: int = 4, width: int = 24, heads: int = 3) -> keras.Model:
    """A Swin transformer: attention in windows written by hand, shifted windows, relative bias, patch merging."""
    images = keras.Input((4 * side, 4 * side, 3))
    x = layers.Conv2D(width, 4, 4, name="patches")(images)
    for block, shift in enumerate((0, window // 2)):
        y = layers.LayerNormalization(name=f"norm{block}a")(x)
        if shift:
            y = ops.roll(y, (-shift, -shift), axis=(1, 2))
        y = _window_attention(y, side, window, width, heads, name=f"block{block}")
        if shift:
            y = ops.roll(y, (shift, shift), axis=(1, 2))
        x = x + y
        y = layers.LayerNormalization(name=f"norm{block}b")(x)
        y = layers.Dense(4 * width, activation="gelu", name=f"mlp{block}a")(y)
        x = x + layers.Dense(width, name=f"mlp{block}b")(y)
    corners = [x[:, i::2, j::2, :] for i in (0, 1) for j in (0, 1)]
    x = layers.Concatenate(name="merge")(corners)
    x = layers.LayerNormalization(name="merge_norm")(x)
    x = layers.Dense(2 * width, use_bias=False, name="merge_dense")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(10, name="logits")(x), name="swin")


def _window_attention(x, side: int, window: int, width: int, heads: int, name: str):
    size, area, count = width // heads, window * window, side // window
    x = ops.reshape(x, (-1, count, window, count, window, width))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, area, width))
    x = layers.Dense(3 * width, name=f"{name}_qkv")(x)
    x = ops.transpose(ops.reshape(x, (-1, area, 3, heads, size)), (2, 0, 3, 1, 4))
    query, key, value = x[0], x[1], x[2]
    scores = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
    scores = scores + np.random.default_rng(1).normal(size=(1, 1, area, area)).astype("float32")
    y = ops.matmul(ops.softmax(scores, axis=-1), value)
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, area, width))
    y = layers.Dense(width, name=f"{name}_projection")(y)
    y = ops.reshape(y, (-1, count, count, window, window, width))
    return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, side, side, width))


def shufflenet(width: int = 16, blocks: int = 3) -> keras.Model:
    """A ShuffleNetV2: half of the channels pass, half go through the branch, then all are shuffled."""
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name="stem")(images)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    for block in range(blocks):
        kept, y = ops.split(x, 2, axis=-1)
        y = layers.Conv2D(width // 2, 1, use_bias=False, name=f"block{block}_conv1")(y)
        y = layers.ReLU()(layers.BatchNormalization(name=f"block{block}_bn1")(y))
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"block{block}_depthwise")(y)
        y = layers.BatchNormalization(name=f"block{block}_bn2")(y)
        y = layers.Conv2D(width // 2, 1, use_bias=False, name=f"block{block}_conv2")(y)
        y = layers.ReLU()(layers.BatchNormalization(name=f"block{block}_bn3")(y))
        x = layers.Concatenate(name=f"block{block}_concat")([kept, y])
        x = ops.reshape(x, (-1, 16, 16, 2, width // 2))
        x = ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, 16, 16, width))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(10, name="logits")(x), name="shufflenet")


def unet(width: int = 8) -> keras.Model:
    """A U-Net: skip concatenations, transposed convolutions, one output per pixel."""
    images = keras.Input((16, 16, 3))
    skips, x = [], images
    for level in range(2):
        x = layers.Conv2D(width * 2**level, 3, padding="same", activation="relu", name=f"down{level}")(x)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = layers.Conv2D(4 * width, 3, padding="same", activation="relu", name="bottom")(x)
    for level in (1, 0):
        x = layers.Conv2DTranspose(width * 2**level, 2, 2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([skips[level], x])
        x = layers.Conv2D(width * 2**level, 3, padding="same", activation="relu", name=f"out{level}")(x)
    return keras.Model(images, layers.Conv2D(3, 1, name="logits")(x), name="unet")


def pyramid(width: int = 8) -> keras.Model:
    """A feature pyramid: lateral convolutions, upsampling, sums, one head shared by all scales."""
    images = keras.Input((32, 32, 3))
    levels, x = [], images
    for level in range(3):
        x = layers.Conv2D(width * 2**level, 3, 2, padding="same", activation="relu", name=f"body{level}")(x)
        levels.append(x)
    parts = [layers.Conv2D(width, 3, padding="same", activation="relu"), layers.Conv2D(4, 1)]
    head = keras.Sequential([keras.Input((None, None, width)), *parts], name="head")
    tops = [layers.Conv2D(width, 1, name="lateral2")(levels[2])]
    for level in (1, 0):
        up = layers.UpSampling2D(name=f"up{level}")(tops[-1])
        tops.append(
            layers.Add(name=f"sum{level}")([layers.Conv2D(width, 1, name=f"lateral{level}")(levels[level]), up])
        )
    return keras.Model(images, {f"scale{i}": head(top) for i, top in enumerate(tops)}, name="pyramid")


def siamese(width: int = 8) -> keras.Model:
    """One tower called on two inputs, compared, and two heads for two tasks."""
    tower_input = keras.Input((12, 12, 3))
    x = layers.Conv2D(width, 3, activation="relu", name="tower_conv1")(tower_input)
    x = layers.Conv2D(2 * width, 3, activation="relu", name="tower_conv2")(x)
    tower = keras.Model(tower_input, layers.GlobalMaxPooling2D()(x), name="tower")
    left, right = keras.Input((12, 12, 3), name="left"), keras.Input((12, 12, 3), name="right")
    a, b = tower(left), tower(right)
    x = layers.Concatenate()([layers.Subtract()([a, b]), layers.Multiply()([a, b])])
    x = layers.Dense(width, activation="relu", name="joint")(x)
    outputs = [layers.Dense(2, name="same")(x), layers.Dense(3, name="kind")(x)]
    return keras.Model([left, right], outputs, name="siamese")


ARCHITECTURES = {f.__name__: f for f in (vit, swin, shufflenet, unet, pyramid, siamese)}
