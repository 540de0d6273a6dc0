"""Layers that the model families share: seeded convolutions, BatchNorm, activations, the classifier.

Every layer is named by its family, so groups and saved plans keep their names from run to run. Convolutions
that BatchNorm follows have no bias, unless the original has one. BatchNorm uses momentum 0.9 and epsilon 1e-5,
which the torch originals call momentum 0.1 and eps 1e-5.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import keras

SCALES = ("ones", "uniform")


def scale_width(channels: int, width: float) -> int:
    """Returns `channels · width` as an integer of at least 1."""
    return max(1, round(channels * width))


def layer_seed(name: str, seed: int | None) -> int | None:
    """Returns a layer's own seed: a function of the model's seed and the layer's name, not of its position."""
    return None if seed is None else zlib.crc32(f"{seed}/{name}".encode()) % 2**31


@dataclass(frozen=True)
class Parts:
    """Applies the layers of one model to tensors of shape `(batch, height, width, channels)`.

    Args:
        seed: The model's seed: initial weights are a function of it and of the layer's name; `None` for fresh ones.
        scales: Initial scales of BatchNorm: `"ones"`, or `"uniform"`, drawn from U(0, 1). Defaults to `"ones"`.
        ceiling: Upper bound of the activations, as in ReLU6. Defaults to `None`: plain ReLU.
        bias: Whether convolutions have a bias. Defaults to `False`.
    """

    seed: int | None
    scales: str = "ones"
    ceiling: int | None = None
    bias: bool = False

    def initializer(self, name: str) -> keras.initializers.Initializer:
        """Returns He-normal values for the layer `name`."""
        return keras.initializers.HeNormal(seed=layer_seed(name, self.seed))

    def convolution(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str, strides: int = 1
    ) -> keras.KerasTensor:
        """Applies a convolution; a strided one has `kernel // 2` zeros on every side, as in torch.

        Padding "same" would put no zeros above and to the left of an even-sided image, so that the windows were
        centred one pixel away from the pixels that a strided shortcut picks. At stride 1 it is torch's.
        """
        padded = strides > 1 and kernel > 1
        if padded:
            x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
        layer = keras.layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            padding="valid" if padded else "same",
            use_bias=self.bias,
            kernel_initializer=self.initializer(name),
            name=name,
        )
        return layer(x)

    def norm(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Applies BatchNorm with momentum 0.9 and epsilon 1e-5."""
        gamma = self.scales
        if gamma == "uniform":
            gamma = keras.initializers.RandomUniform(0.0, 1.0, layer_seed(name, self.seed))
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=name)(x)

    def relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Applies ReLU."""
        return keras.layers.ReLU(self.ceiling, name=name)(x)

    def activated(self, x: keras.KerasTensor, name: str, number: int | str = "") -> keras.KerasTensor:
        """Returns `relu(bn(x))`; its layers are called `{name}_bn{number}` and `{name}_relu{number}`."""
        return self.relu(self.norm(x, f"{name}_bn{number}"), f"{name}_relu{number}")

    def unit(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str, number: int | str = "", strides: int = 1
    ) -> keras.KerasTensor:
        """Returns `relu(bn(conv(x)))`; its layers are called as those of `normed`, and `{name}_relu{number}`."""
        return self.relu(self.normed(x, filters, kernel, name, number, strides), f"{name}_relu{number}")

    def normed(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str, number: int | str = "", strides: int = 1
    ) -> keras.KerasTensor:
        """Returns `bn(conv(x))`; its layers are called `{name}_conv{number}` and `{name}_bn{number}`."""
        return self.norm(self.convolution(x, filters, kernel, f"{name}_conv{number}", strides), f"{name}_bn{number}")

    def dense_unit(self, x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
        """Returns `relu(bn(dense(x)))`; its layers are called `{name}`, `{name}_bn` and `{name}_relu`."""
        x = keras.layers.Dense(units, kernel_initializer=self.initializer(name), name=name)(x)
        return self.activated(x, name)

    def dense_relu(self, x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
        """Returns `relu(dense(x))`."""
        x = keras.layers.Dense(units, kernel_initializer=self.initializer(name), name=name)(x)
        return self.relu(x, f"{name}_relu")

    def classified(self, images: keras.KerasTensor, x: keras.KerasTensor, classes: int, name: str) -> keras.Model:
        """Returns the model that ends in the dense layer `"logits"`; there is no softmax."""
        logits = keras.layers.Dense(classes, kernel_initializer=self.initializer("logits"), name="logits")
        return keras.Model(images, logits(x), name=name)

    def pooled(
        self, images: keras.KerasTensor, x: keras.KerasTensor, classes: int, name: str, dropout: float = 0
    ) -> keras.Model:
        """Returns the model that ends in global average pooling, dropout if there is any, and `"logits"`."""
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        if dropout:
            seed = layer_seed("head_dropout", self.seed)
            x = keras.layers.Dropout(dropout, seed=seed, name="head_dropout")(x)
        return self.classified(images, x, classes, name)
