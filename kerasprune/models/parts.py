"""Layers that the model families share: seeded initialisers, convolutions, BatchNorm, the classifier.

Every layer is named by its family, so groups and saved plans keep their names from run to run. Convolutions
that BatchNorm follows have no bias. BatchNorm uses momentum 0.9 and epsilon 1e-5, which is what the torch
originals call momentum 0.1 and eps 1e-5.
"""

from __future__ import annotations

import zlib

import keras

SCALES = ("ones", "uniform")


def scaled(channels: int, width: float) -> int:
    """Returns `channels · width` as a whole number of at least 1."""
    return max(1, round(channels * width))


def initializer(name: str, seed: int | None) -> keras.initializers.Initializer:
    """Returns He-normal values for the layer `name`: the same for the same seed, fresh where it is None."""
    return keras.initializers.HeNormal(seed=layer_seed(name, seed))


def layer_seed(name: str, seed: int | None) -> int | None:
    """Returns a layer's own seed: a function of the model's seed and the layer's name, not of its position."""
    return None if seed is None else zlib.crc32(f"{seed}/{name}".encode()) % 2**31


def convolution(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    *,
    name: str,
    seed: int | None,
    strides: int = 1,
    padding: str = "same",
) -> keras.KerasTensor:
    """Applies a convolution without bias to `x` of shape `(batch, height, width, channels)`."""
    layer = keras.layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=initializer(name, seed),
        name=name,
    )
    return layer(x)


def padded_convolution(
    x: keras.KerasTensor, filters: int, kernel: int, *, strides: int, name: str, seed: int | None
) -> keras.KerasTensor:
    """Applies a strided convolution with `kernel // 2` zeros on every side, as torch does.

    Padding "same" would put no zeros above and to the left of an even-sided image, so that the windows were
    centred one pixel away from the pixels that a strided shortcut picks.
    """
    x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return convolution(x, filters, kernel, name=name, seed=seed, strides=strides, padding="valid")


def strided_convolution(
    x: keras.KerasTensor, filters: int, kernel: int, *, strides: int, name: str, seed: int | None
) -> keras.KerasTensor:
    """Applies a convolution of either stride with torch's spatial arithmetic; "same" has it at stride 1."""
    if strides == 1:
        return convolution(x, filters, kernel, name=name, seed=seed)
    return padded_convolution(x, filters, kernel, strides=strides, name=name, seed=seed)


def batch_norm(x: keras.KerasTensor, *, name: str, scales: str = "ones", seed: int | None = None) -> keras.KerasTensor:
    """Applies BatchNorm with momentum 0.9 and epsilon 1e-5, its scales all 1 or drawn from U(0, 1)."""
    gamma = keras.initializers.RandomUniform(0.0, 1.0, layer_seed(name, seed)) if scales == "uniform" else scales
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=name)(x)


def relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Applies ReLU."""
    return keras.layers.ReLU(name=name)(x)


def classifier(x: keras.KerasTensor, classes: int, *, seed: int | None) -> keras.KerasTensor:
    """Applies the dense layer `"logits"`; there is no softmax."""
    return keras.layers.Dense(classes, kernel_initializer=initializer("logits", seed), name="logits")(x)
