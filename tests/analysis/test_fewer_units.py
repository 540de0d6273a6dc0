"""Dropout stability: doubled units need half, others are found by brute force in NumPy."""

from __future__ import annotations

from itertools import combinations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.analysis.fewer_units import Units

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 3)).astype("float32")


def dense(*widths: int, outputs: int = 2) -> keras.Model:
    layers = [keras.layers.Dense(width, activation="relu", name=f"h{place}") for place, width in enumerate(widths)]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(outputs, name="last")])
    random = np.random.default_rng(1)
    for variable in model.weights:
        drawn = random.normal(size=variable.shape)
        variable.assign(np.abs(drawn) if len(variable.shape) == 1 else drawn)  # no unit is dead
    model.compile(loss="mse")
    return model


def doubled(*widths: int) -> keras.Model:
    """A net in which unit 2n + 1 of every hidden layer is unit 2n once more."""
    model = dense(*widths)
    for layer in model.layers[:-1]:
        kernel, bias = (np.repeat(each[..., ::2], 2, axis=-1) for each in layer.get_weights())
        layer.set_weights([kernel, bias])
    for layer in model.layers[1:]:  # both halves of a pair are read alike
        kernel, bias = layer.get_weights()
        layer.set_weights([np.repeat(kernel[::2], 2, axis=0), bias])
    return model


def fitted(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Labels that a model fits exactly: its loss is 0, so no half of its units can be better."""
    return X, keras.ops.convert_to_numpy(model(X))


@pytest.mark.jax
@pytest.mark.parametrize("widths", [(4, 6), (6, 4), (16, 12)])
def test_doubled_units_are_not_needed(widths):
    model = doubled(*widths)
    found = kp.analysis.dropout_stability(model, [fitted(model)])
    assert found.epsilon == pytest.approx(0, abs=1e-5)
    assert found.factor == 2
    for i, kept in enumerate(found.kept):
        assert list(kept) == ["h0", "h1"][i:]
        for name, indices in kept.items():
            assert sorted(indices // 2) == list(range(model.get_layer(name).units // 2))  # one of each pair


@pytest.mark.thorough
def test_units_that_are_dead_are_left_out_and_the_others_stay_as_they_are():
    model = dense(14, 12)
    for layer, live in zip(model.layers[:-1], ([0, 3, 4, 7, 9, 10, 13], [1, 2, 3, 8, 10, 11]), strict=True):
        layer.set_weights([each * np.isin(np.arange(layer.units), live) for each in layer.get_weights()])
    found = kp.analysis.dropout_stability(model, [fitted(model)], draws=0)
    assert found.epsilon == pytest.approx(0, abs=1e-5) and found.factor == 1
    assert [list(kept["h1"]) for kept in found.kept] == [[1, 2, 3, 8, 10, 11]] * 2


@pytest.mark.thorough
@pytest.mark.jax
def test_epsilon_is_that_of_the_worst_layer_from_which_on_half_are_kept():
    """Definition 1 in NumPy: all choices of at most half of the units from each layer on, and a grid of factors."""
    model = dense(4, 3)
    x, y = fitted(model)
    found = kp.analysis.dropout_stability(model, [(x, y)])
    (w1, b1), (w2, b2), (w3, b3) = ([each.astype("float64") for each in layer.get_weights()] for layer in model.layers)
    r = np.linspace(0, 4, 4001)[:, None, None]
    whole, best = np.maximum(x @ w1 + b1, 0), [np.inf, np.inf]
    for i, sizes in enumerate(([2, 1, 0], [4])):
        for first in (list(each) for size in sizes for each in combinations(range(4), size)):
            hidden = np.maximum((1 if i else r) * (whole[:, first] @ w2[first]) + b2, 0)
            for unit in range(3):
                error = ((r * hidden[..., [unit]] * w3[unit] + b3 - y) ** 2).mean(axis=(1, 2)).min()
                best[i] = min(best[i], error)
    assert found.losses == pytest.approx(best, rel=1e-3) and min(best) > 0.01 and max(best) > 1.01 * min(best)
    assert found.epsilon == pytest.approx(max(best), rel=1e-3)


def test_channels_of_convolutions_are_silenced_where_they_are_read():
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, name="conv", use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    kp.testing.randomise(model)
    images, units = np.random.default_rng(2).normal(size=(5, 6, 6, 2)).astype("float32"), Units(model)
    flat = keras.Model(model.input, model.layers[-2].output)(images)
    own = keras.ops.convert_to_numpy(flat).reshape(5, 2, 2, 4) * [0, 3, 0, 3]
    kernel, bias = model.layers[-1].get_weights()
    model.set_weights(units.keeping({"conv": np.array([1, 3])}, 3.0))
    np.testing.assert_allclose(model(images), own.reshape(5, -1) @ kernel + bias, rtol=1e-4, atol=1e-4)
