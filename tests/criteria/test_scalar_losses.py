"""Losses of the user's own that return their mean over the batch, with sample weights: as Keras evaluates them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.criteria.batch_loss import batch_loss
from kerasprune.criteria.registry import criteria

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(32, 8)).astype("float32"), RANDOM.normal(size=(32, 3)).astype("float32")
WEIGHTS = RANDOM.uniform(0.5, 2, 32).astype("float32")
OF_GRADIENTS = [name for name in criteria.names() if "gradients" in criteria.get(name).needs]


def mean_square(y, p):
    return ops.mean(ops.square(y - p))


class OfClass(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return mean_square(y_true, y_pred)


def network(loss=mean_square) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(16, activation="relu", name="wide")(inputs)))
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize("loss", [mean_square, OfClass(), "mse"])
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None]], ids=["none", "(n,)", "(n, 1)"])
def test_the_mean_is_that_of_keras(loss, weights):
    model = network(loss)
    wanted = model.evaluate(X, Y, sample_weight=weights, batch_size=32, verbose=0)
    assert float(batch_loss(model)(X, Y, weights)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("weights", [None, RANDOM.uniform(0.5, 2, (4, 5)).astype("float32")], ids=["none", "steps"])
def test_with_a_mask_it_is_that_of_keras(weights):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(3)(layers.Embedding(9, 4, mask_zero=True)(inputs)))
    model.compile("sgd", mean_square)
    x, y = RANDOM.integers(0, 3, (4, 5)), RANDOM.normal(size=(4, 5, 3)).astype("float32")
    wanted = model.evaluate(x, y, sample_weight=weights, batch_size=4, verbose=0)
    assert float(batch_loss(model)(x, y, weights)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.matrix("taylor_fo", "snip", "obs")
@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_every_criterion_of_gradients_takes_it(name):
    plan = kp.plan(network(), keep=0.5, criterion=name, data=(X, Y, WEIGHTS))
    assert len(plan.keep["wide"]) == 8


def test_fine_tuning_takes_it():
    slim, _, report = kp.prune(network(), keep=0.5, data=(X, Y, WEIGHTS), epochs=1, criterion="taylor_fo", verbose=0)
    assert slim.get_layer("wide").units == 8 and np.isfinite(report.steps[-1].metrics["loss"])
