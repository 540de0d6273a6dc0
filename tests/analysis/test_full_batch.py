"""Training on all data at once: against least squares, and by the gradient that is left."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.criteria.mean_loss import MeanLoss

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
Y = (np.sin(2 * X[:, :1]) + X[:, 1:2] * X[:, 2:] + 0.3 * RANDOM.normal(size=(40, 1))).astype("float32")
DATA = [(X[:30], Y[:30]), (X[30:], Y[30:])]


def net(hidden: int) -> keras.Model:
    keras.utils.set_random_seed(1)
    body = [keras.layers.Dense(hidden, "tanh")] if hidden else []
    model = keras.Sequential([keras.Input((3,)), *body, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def norm(model: keras.Model) -> float:
    found = MeanLoss(model, model.trainable_variables, DATA, None).gradient()
    return float(np.sqrt(sum((each**2).sum() for each in found.values())))


@pytest.mark.jax
def test_a_linear_model_ends_at_least_squares():
    model = net(0)
    before = model.get_weights()
    found = kp.analysis.to_minimum(model, iter(DATA), until=1e-4)
    expected = np.linalg.lstsq(np.c_[X, np.ones(len(X))], Y, rcond=None)[0].ravel()
    np.testing.assert_allclose(np.concatenate([each.ravel() for each in found.get_weights()]), expected, atol=1e-3)
    assert all(map(np.array_equal, before, model.get_weights())) and found.compiled


def test_the_gradient_of_a_net_becomes_small():
    model = net(3)
    found = kp.analysis.to_minimum(model, DATA, precision="float64")
    assert norm(found) <= 1.01e-3 * norm(model)
    with pytest.raises(kp.PruneError, match="until=0.001.*steps=1"):
        kp.analysis.to_minimum(model, DATA, steps=1)
    with pytest.raises(kp.PruneError, match="until=0"):
        kp.analysis.to_minimum(model, DATA, until=0)
