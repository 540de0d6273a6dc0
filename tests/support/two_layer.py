"""A network of two layers in NumPy, whose derivatives are taken by differences in float64: the truth for criteria."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from kerasprune.testing.randomness import randomise

KERNELS = ("hidden", "logits")


def network(norm: bool = True, features: int = 4, units: int = 5, outputs: int = 3) -> keras.Model:
    """Dense, BatchNorm where asked for, tanh, dense; all weights and statistics random."""
    inputs = keras.Input((features,))
    x = layers.Dense(units, name="hidden")(inputs)
    x = layers.BatchNormalization(name="norm")(x) if norm else x
    x = layers.Dense(outputs, name="logits")(layers.Activation("tanh")(x))
    return randomise(keras.Model(inputs, x, name="two_layers"), seed=1)


def numbers(model: keras.Model) -> dict[str, np.ndarray]:
    """The variables by path, in float64."""
    return {v.path: np.array(keras.ops.convert_to_numpy(v), "float64") for v in model.variables}


def outputs(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What the network puts out."""
    h = x @ p["hidden/kernel"] + p.get("hidden/bias", 0)
    if "norm/gamma" in p:
        h = (h - p["norm/moving_mean"]) / np.sqrt(p["norm/moving_variance"] + 1e-3)
        h = h * p["norm/gamma"] + p["norm/beta"]
    return np.tanh(h) @ p["logits/kernel"] + p.get("logits/bias", 0)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropies(p: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The loss of every example."""
    return -np.log(probabilities(outputs(p, x))[np.arange(len(y)), y])


def slopes(function: Callable, p: dict[str, np.ndarray], path: str, step: float = 1e-5) -> np.ndarray:
    """Differences of a function of all variables by each number of one: `(*shape of the variable, *of the value)`."""
    found = []
    for place in np.ndindex(p[path].shape):
        ends = []
        for sign in (1, -1):
            moved = {**p, path: p[path].copy()}
            moved[path][place] += sign * step
            ends.append(function(moved))
        found.append((ends[0] - ends[1]) / (2 * step))
    return np.reshape(found, (*p[path].shape, *np.shape(found[0])))


def scaled(p: dict[str, np.ndarray], paths: tuple[str, ...], channel: int, factor: float) -> dict[str, np.ndarray]:
    """The variables with one channel, along their last axis, times a factor."""
    new = dict(p)
    for path in paths:
        new[path] = p[path].copy()
        new[path][..., channel] *= factor
    return new
