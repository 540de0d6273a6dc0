"""The plane through three models: against a quadratic loss in closed form."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp

X, Y = np.eye(2, dtype="float32"), np.array([[1.0], [-2.0]], "float32")


def linear(first: float, second: float) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[first], [second]], "float32")])
    model.compile(loss="mse")
    return model


@pytest.mark.jax
def test_losses_are_those_of_the_quadratic():
    found = kp.analysis.plane(linear(1, 1), linear(4, 5), linear(-3, 4), (X, Y), points=5, margin=0)
    np.testing.assert_allclose(found.places, [(0, 0), (5, 0), (0, 5)], atol=1e-6)
    for row, y in enumerate(found.y):
        for column, x in enumerate(found.x):
            weights = np.array([1, 1]) + x * np.array([0.6, 0.8]) + y * np.array([-0.8, 0.6])
            assert found.losses[row, column] == pytest.approx(((weights - Y[:, 0]) ** 2).mean(), rel=1e-5)


def test_a_margin_surrounds_the_models_and_the_figure_is_written(tmp_path):
    found = kp.analysis.plane(linear(1, 1), linear(4, 5), linear(-3, 4), (X, Y), points=3, margin=0.5)
    np.testing.assert_allclose([found.x, found.y], [[-2.5, 2.5, 7.5]] * 2, atol=1e-6)
    assert found.plot(tmp_path / "plane.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_models_on_one_line_are_refused():
    with pytest.raises(kp.PruneError, match="one line"):
        kp.analysis.plane(linear(1, 1), linear(2, 2), linear(3, 3), (X, Y))
