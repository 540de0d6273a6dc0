"""Ten networks for microcontrollers, untrained, and the memory that tflite-micro itself says they take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import keras
from keras import layers

import kerasprune as kp

MEASURE = """
import sys
import tflite_micro
interpreter = tflite_micro.runtime.Interpreter.from_file(sys.argv[1], arena_size=2**26)
interpreter.print_allocations()
"""


class Allocated(NamedTuple):
    """The head and the tail of an arena, in bytes."""

    head: int
    tail: int


def allocated(path: Path) -> Allocated:
    """Returns what tflite-micro allocates for a file, in a process of its own, which some files abort."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True)
    found = (re.search(rf"Arena allocation {part} (\d+)", done.stderr) for part in Allocated._fields)
    return Allocated(*(int(each[1]) for each in found))


def separable(filters: int, blocks: int = 4) -> keras.Model:
    """Returns the network for spoken words of MLPerf Tiny (DS-CNN)."""

    def normalised(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU()(layers.BatchNormalization()(x))

    x = inputs = keras.Input((49, 10, 1))
    x = normalised(layers.Conv2D(filters, (10, 4), strides=2, padding="same")(x))
    for _ in range(blocks):
        x = normalised(layers.DepthwiseConv2D(3, padding="same")(x))
        x = normalised(layers.Conv2D(filters, 1)(x))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    return keras.Model(inputs, layers.Dense(12, "softmax")(x))


def autoencoder() -> keras.Model:
    """Returns the network for anomalies of MLPerf Tiny."""
    x = inputs = keras.Input((640,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(640)(x))


def lenet() -> keras.Model:
    """Returns a LeNet with biases."""
    x = inputs = keras.Input((28, 28, 1))
    for filters in (20, 50):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 5, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10, "softmax")(layers.Dense(500, "relu")(layers.Flatten()(x))))


def recurrent() -> keras.Model:
    """Returns a GRU on rows of an image."""
    inputs = keras.Input((28, 28))
    return keras.Model(inputs, layers.Dense(10)(layers.GRU(32)(inputs)))


def u_net() -> keras.Model:
    """Returns a U-Net with transposed convolutions, which tflite-micro has."""
    x = inputs = keras.Input((32, 32, 3))
    skips = []
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((16, 8), reversed(skips), strict=True):
        x = layers.Concatenate()([layers.Conv2DTranspose(filters, 2, 2)(x), skip])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(4, 1)(x))


def transformer() -> keras.Model:
    """Returns a small vision transformer."""
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((64, 64))(layers.Conv2D(64, 4, 4)(x))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(y, y)])
        y = layers.Dense(128, "relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(64)(y)])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


NETWORKS = {
    "lenet": lenet,
    "resnet8": lambda: kp.models.resnet_cifar(8, classes=10, input_shape=(32, 32, 3), seed=0),
    "resnet20": lambda: kp.models.resnet_cifar(20, classes=10, input_shape=(32, 32, 3), seed=0),
    "mobilenet64": lambda: kp.models.mobilenet_v2(10, (64, 64, 3), width=0.5, seed=0),
    "mobilenet96": lambda: kp.models.mobilenet_v2(2, (96, 96, 3), width=0.35, seed=0),
    "separable": lambda: separable(64),
    "autoencoder": autoencoder,
    "recurrent": recurrent,
    "u_net": u_net,
    "transformer": transformer,
}


def network(name: str) -> keras.Model:
    """Returns one of them, always with the same weights."""
    keras.utils.set_random_seed(0)
    return NETWORKS[name]()
