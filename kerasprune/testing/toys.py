"""The small model on which criteria, budgets and callbacks are checked, and `require`."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kerasprune.testing.randomness import randomise


def require(holds: bool, claim: str) -> None:
    """Raises `AssertionError(claim)` if `holds` is false; unlike `assert`, also under `python -O`."""
    if not holds:
        raise AssertionError(claim)


SIDE, CLASSES = 8, 4


def toy_model(seed: int = 0) -> keras.Model:
    """Returns a residual network of 13, 17, 19 and 23 channels with BatchNorm after each convolution.

    The widths have no common divisor, so that no fraction asks two groups to lose a channel at once.

    Args:
        seed: Seed of the weights. Defaults to 0.

    Returns:
        A model of `(8, 8, 3)` images and 4 classes, with random weights; outputs are logits.
    """
    inputs = keras.Input((SIDE, SIDE, 3), name="image")
    x = _unit(inputs, 13, "stem", strides=2)
    y = _unit(x, 17, "inner")
    y = _unit(y, 13, "outer", activation=None)
    x = layers.ReLU(name="trunk")(layers.Add(name="sum")([x, y]))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="lanes")(_unit(x, 19, "wide"))
    x = _unit(layers.BatchNormalization(name="lanes_norm")(x), 23, "last")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return randomise(keras.Model(inputs, layers.Dense(CLASSES, name="logits")(x), name="toy"), seed)


def toy_data(samples: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns random images and labels for `toy_model`."""
    generator = np.random.default_rng(seed)
    images = generator.normal(size=(samples, SIDE, SIDE, 3)).astype("float32")
    return images, generator.integers(0, CLASSES, samples).astype("int32")


def _unit(x, filters: int, name: str, strides: int = 1, activation: str | None = "relu"):  # noqa: ANN001, ANN202
    regularizer = keras.regularizers.L2(1e-4) if name == "inner" else None
    x = layers.Conv2D(filters, 3, strides, "same", use_bias=False, kernel_regularizer=regularizer, name=f"{name}_conv")(
        x
    )
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return x if activation is None else layers.Activation(activation, name=f"{name}_act")(x)
