"""Curves between models: against their equations, and a valley whose middle is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.analysis.low_curves import _by_batch

X = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")


def product_net(first: float, second: float) -> keras.Model:
    """y = second · first · (x₀ + x₁): the loss of y = x₀ + x₁ is 0 along the hyperbola first · second = 1."""
    layers = [keras.layers.Dense(1, use_bias=False), keras.layers.Dense(1, use_bias=False)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.set_weights([np.full((2, 1), first, "float32"), np.full((1, 1), second, "float32")])
    model.compile(loss="mse")
    return model


def data(count: int = 8):
    return [(part, part.sum(axis=1, keepdims=True)) for part in np.split(X, count)]


@pytest.mark.jax
@pytest.mark.parametrize("kind", ["bezier", "polychain"])
def test_points_are_those_of_the_equation(kind):
    a, b = product_net(4, 0.25), product_net(0.25, 4)
    found = kp.analysis.curve(a, b, data(), kind=kind, epochs=1, points=5)
    theta = found.knots[1]
    for one, bend, other, middle in zip(a.get_weights(), theta, b.get_weights(), found.weights(0.5), strict=True):
        expected = (one + 2 * bend + other) / 4 if kind == "bezier" else bend
        np.testing.assert_allclose(middle, expected, rtol=1e-6)
    for one, bend, other, at in zip(a.get_weights(), theta, b.get_weights(), found.weights(0.25), strict=True):
        expected = (9 * one + 6 * bend + other) / 16 if kind == "bezier" else (one + bend) / 2
        np.testing.assert_allclose(at, expected, rtol=1e-6)
    for t, model in ((0, a), (1, b)):
        for at, exact in zip(found.weights(t), model.get_weights(), strict=True):
            np.testing.assert_array_equal(at, exact)
    model = product_net(1, 1)
    model.set_weights(found.weights(0.25))
    y = keras.ops.convert_to_numpy(model(X))
    assert found.losses[1] == pytest.approx(float(((y - X.sum(axis=1, keepdims=True)) ** 2).mean()), rel=1e-5)


@pytest.mark.thorough
@pytest.mark.jax
@pytest.mark.parametrize("kind", ["bezier", "polychain"])
def test_the_curve_is_lower_than_the_line(kind):
    a, b = product_net(4, 0.25), product_net(0.25, 4)
    straight = kp.analysis.line(a, b, data(), points=11)
    found = kp.analysis.curve(a, b, data(), kind=kind, epochs=20, learning_rate=0.05, points=11)
    assert straight.barrier > 1
    assert found.barrier < straight.barrier / 4
    assert [each.tolist() for each in a.get_weights()] == [[[4], [4]], [[0.25]]]


def test_the_first_step_goes_down():
    """One batch, one step: the sign of Adam's first step is that of the derivative of the loss by θ."""
    a, b = product_net(4, 0.25), product_net(0.25, 4)
    found = kp.analysis.curve(a, b, data(1), epochs=1, learning_rate=0.1, points=2)
    for bend, one, other in zip(found.knots[1], a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(bend, (one + other) / 2 - 0.1, rtol=1e-4)  # first · second > 1 between the ends


def test_batchnorm_is_trained_by_the_batch_and_judged_by_examples():
    def model(seed):
        keras.utils.set_random_seed(seed)
        body = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dense(1)]
        made = keras.Sequential([keras.Input((2,)), *body])
        made.compile(loss="mse")
        return made

    a, b = model(1), model(2)
    np.testing.assert_allclose(_by_batch(a)(X), a(X, training=True), rtol=1e-6)
    found = kp.analysis.curve(a, b, data(2), epochs=2, points=3, recalibrate=X)
    before = found.weights(0.5)
    middle = model(3)
    middle.set_weights(before)
    again = kp.analysis.line(kp.recalibrate(middle, X), middle, data(2), points=2, recalibrate=X, loss="mse")
    assert found.losses[1] == pytest.approx(again.losses[0], rel=1e-5)


def test_an_unknown_kind_is_refused():
    with pytest.raises(kp.PruneError, match="kind='arc'"):
        kp.analysis.curve(product_net(1, 1), product_net(1, 1), data(), kind="arc")
