"""A small convolutional network, its data and its fits: what the tests of masks, sessions and `Resume` train."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from kerasprune.testing.toys import toy_data

BATCH, STEPS = 8, 8
DATA = toy_data(BATCH * STEPS, 0)


def small(seed: int = 0) -> keras.Model:
    """Returns a small network with all that masks meet: two kernels, a bias, BatchNorm."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(DATA[0].shape[1:])
    x = keras.layers.Conv2D(6, 3, strides=2, name="conv")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    outputs = keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs)


def compiled(model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None, **arguments) -> keras.Model:
    """Returns the network, ready for `fit`; SGD with momentum by default."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), loss, **arguments)
    return model


def train(model: keras.Model, callbacks: Iterable[keras.callbacks.Callback], epochs: int = 2):
    """Fits on the eight batches, in order."""
    return model.fit(*DATA, BATCH, epochs, shuffle=False, verbose=0, callbacks=list(callbacks))


def masked(model: keras.Model, masks: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the values of the weights that the masks have set to zero."""
    return [v.numpy()[~masks[v.path]] for v in model.weights if v.path in masks]


def assert_zero(values: Iterable[np.ndarray]) -> None:
    """Asserts zeros without a sign."""
    for value in values:
        assert (value == 0).all() and not np.signbit(value).any()
