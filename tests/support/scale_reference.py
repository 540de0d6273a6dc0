"""What the tests of polarization and slimming compare with: a loop in which penalty, momentum and clamp are NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from support import greg_reference
from support.greg_reference import BATCH, BATCHES, MOMENTUM, RATE, samples


def network(seed: int = 3, **norm) -> keras.Model:
    """Returns 8 → 6 → 5 → 3 with BatchNorm behind the hidden layers."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8,), name="in")
    for width, name in ((6, "one"), (5, "two")):
        x = layers.Dense(width, use_bias=False, name=name)(x)
        x = layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_norm", **norm)(x))
    return keras.Model(inputs, layers.Dense(3, name="out")(x))


def compiled(model: keras.Model | None = None, **arguments) -> keras.Model:
    """Returns the network, ready for `fit`."""
    return greg_reference.compiled(network() if model is None else model, **arguments)


def train(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback] = (), epochs: int = 5, **arguments):
    """Fits on the four batches, in order."""
    return greg_reference.train(model, callbacks, epochs, **arguments)


def gammas(model: keras.Model) -> list:
    """Returns the two scale variables."""
    return [model.get_layer(f"{name}_norm").gamma for name in ("one", "two")]


def polarization_gradient(scales: np.ndarray, strength: float, t: float) -> np.ndarray:
    """The sub-gradient as the paper has it, the mean differentiated."""
    signs = np.sign(scales - scales.mean())
    return strength * (t * np.sign(scales) - signs + signs.mean())


def reference(model: keras.Model, steps: int, penalty, ceiling: float, initial: float, accumulate: int = 1) -> None:
    """Trains in place: the gradient of the data's loss by TensorFlow, everything else in NumPy.

    Args:
        model: The network.
        steps: Number of batches.
        penalty: `gradient(scales of both layers, concatenated)`.
        ceiling: Scales are clamped to [0, ceiling] after every update.
        initial: What the scales are set to first.
        accumulate: Batches whose mean gradient makes one update.
    """
    inputs, targets = samples()
    scales = gammas(model)
    for scale in scales:
        scale.assign(np.full(scale.shape, initial))
    variables = model.trainable_variables
    speeds = [np.zeros(v.shape, "float64") for v in variables]
    waiting = [np.zeros(v.shape, "float64") for v in variables]
    for step in range(steps):
        begin = step % BATCHES * BATCH
        with tf.GradientTape() as tape:
            outputs = model(inputs[begin : begin + BATCH], training=True)
            loss = tf.reduce_mean((outputs - targets[begin : begin + BATCH]) ** 2)
        gradients = [g.numpy().astype("float64") for g in tape.gradient(loss, [v.value for v in variables])]
        of_scales = penalty(np.concatenate([s.numpy().astype("float64") for s in scales]))
        of_scales = dict(zip((id(s) for s in scales), np.split(of_scales, [6]), strict=True))
        for place, variable in enumerate(variables):
            waiting[place] += gradients[place] + of_scales.get(id(variable), 0.0)
        if (step + 1) % accumulate:
            continue
        for place, variable in enumerate(variables):
            speeds[place] = MOMENTUM * speeds[place] - RATE * waiting[place] / accumulate
            waiting[place] = 0 * waiting[place]
            value = variable.numpy() + speeds[place]
            variable.assign(np.clip(value, 0, ceiling) if id(variable) in of_scales else value)
