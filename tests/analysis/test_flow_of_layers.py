"""Sums over layers: equal without biases, and those of products by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp

RANDOM = np.random.default_rng(0)


def images(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(RANDOM.normal(size=(count, 6, 6, 2)).astype("float32"), RANDOM.integers(0, 3, count)) for _ in range(2)]


def chain(*, bias: bool) -> keras.Model:
    keras.utils.set_random_seed(1)
    own = {"use_bias": bias, "bias_initializer": "ones"}
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first", **own),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(5, "relu", name="second", **own),
            keras.layers.Dense(3, name="third", **own),
        ]
    )


def test_sums_of_a_relu_net_without_biases_are_equal():
    loss, data = keras.losses.SparseCategoricalCrossentropy(from_logits=True), images(20)
    found = kp.analysis.conservation(chain(bias=False), data, loss=loss, precision="float64")
    sums = np.array(list(found.saliencies.values()))
    assert list(found.saliencies) == ["first", "second", "third"]
    assert np.abs(sums).max() > 1e-3
    assert np.ptp(sums) <= 1e-9 * np.abs(sums).max()
    assert found.spread <= 1e-9
    assert kp.analysis.conservation(chain(bias=True), data, loss=loss, precision="float64").spread > 1e-2


def test_differences_of_half_squares_are_conserved_through_training():
    """By gradient descent up to the square of its step: all layers grow by as much."""
    x, y = RANDOM.normal(size=(64, 6)).astype("float32"), RANDOM.integers(0, 3, 64)
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(width, "relu", use_bias=False) for width in (8, 8)]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(3, use_bias=False)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(2e-3), loss)
    before = kp.analysis.conservation(model, [(x, y)])
    model.fit(np.tile(x, (200, 1)), np.tile(y, 200), batch_size=64, shuffle=False, verbose=0)  # the same batch always
    after = kp.analysis.conservation(model, [(x, y)])
    grown = np.subtract(list(after.half_squares.values()), list(before.half_squares.values()))
    # d/dt ½‖θ‖² = −S, and 200 steps of 2e-3: by the trapezium rule.
    expected = -0.4 * (next(iter(before.saliencies.values())) + next(iter(after.saliencies.values()))) / 2
    assert abs(expected) > 0.02
    np.testing.assert_allclose(grown, expected, rtol=0.05)


@pytest.mark.jax
def test_a_layer_against_products_by_hand():
    """The sums of a layer and of its loss: L = mean (xw + b − y)², so θ·∂L/∂θ = 2 mean (xw + b − y)(xw + b)."""
    x, y = RANDOM.normal(size=(20, 3)).astype("float32"), RANDOM.normal(size=(20, 1)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, bias_initializer="ones", name="only")])
    found = kp.analysis.conservation(model, [(x[:15], y[:15]), (x[15:], y[15:])], loss="mse")
    w, b = model.get_weights()
    assert found.saliencies["only"] == pytest.approx(float(2 * ((x @ w + b - y) * (x @ w + b)).mean()), rel=1e-5)
    assert found.half_squares["only"] == pytest.approx(float((w**2).sum() + 1) / 2, rel=1e-6)
