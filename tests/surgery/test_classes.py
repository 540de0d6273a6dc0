"""Models whose class does more than their graph: a call around `super().call`, own steps, or no call at all."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp


class Scaled(keras.Model):
    """A temperature around the graph."""

    def call(self, x, training=None, mask=None):
        return 3.0 * super().call(x, training=training)


class Chain(keras.Sequential):
    """The same of a chain."""

    def call(self, x, training=None, mask=None):
        return 3.0 * super().call(x, training=training)


def scaled():
    inputs = keras.Input((8,))
    return Scaled(inputs, layers.Dense(3)(layers.Dense(16, activation="relu", name="hidden")(inputs)))


def chain():
    return Chain([keras.Input((8,)), layers.Dense(16, activation="relu", name="hidden"), layers.Dense(3)])


def inside():
    """One such model in another."""
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(2)(scaled()(inputs)))


WAYS = {
    "functional": kp.functional,
    "rebuild": lambda model: kp.rebuild(model, kp.Plan({})),
    "mask": lambda model: kp.mask(model, kp.Plan({})),
    "gated": lambda model: kp.surgery.gated(model),
    "equalise": lambda model: kp.quantization.equalise(model),
    "reinitialise": lambda model: kp.surgery.reinitialise(model),
    "recalibrate": lambda model: kp.recalibrate(model, np.ones((4, 8))),
}


@pytest.mark.parametrize("make", [scaled, chain, inside])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_around_the_graph_is_kept_or_refused(way, make):
    model, x = make(), np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    try:
        new = WAYS[way](model)
    except kp.PruneError as error:
        assert "functional" in str(error)
        return
    if way != "reinitialise":
        np.testing.assert_allclose(new(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.matrix
@pytest.mark.parametrize("make", [scaled, chain, inside])
def test_it_is_pruned(make):
    keras.utils.set_random_seed(0)
    model, x = make(), np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    slim = kp.prune(model, keep=0.9, data=x, verbose=0).slim
    assert slim.count_params() < model.count_params()
    ratio = np.abs(slim.predict(x, verbose=0)).mean() / np.abs(model.predict(x, verbose=0)).mean()
    assert 0.6 < ratio < 1.5  # not a third


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        return 7.0 * ops.mean(ops.abs(y - y_pred))


class OwnStep(keras.Model):
    def train_step(self, *args):
        return {"loss": ops.zeros(())}


class OwnTest(keras.Model):
    def test_step(self, *args):
        return {"loss": ops.zeros(())}


class OwnPredict(keras.Model):
    def predict_step(self, *args):
        return ops.zeros((1,))


class OwnMetrics(keras.Model):
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {"mine": 1.0}


class WithWidth(OwnLoss):
    """One whose constructor takes other arguments."""

    def __init__(self, width):
        inputs = keras.Input((8,))
        hidden = layers.Dense(width, activation="relu")(inputs)
        super().__init__(inputs=inputs, outputs=layers.Dense(3)(hidden))


@pytest.mark.parametrize("kind", [OwnLoss, OwnStep, OwnTest, OwnPredict, OwnMetrics])
def test_own_steps_and_losses_stay(kind):
    inputs = keras.Input((8,))
    model = kind(inputs, layers.Dense(3)(layers.Dense(16, activation="relu")(inputs)))
    model.compile("sgd", "mse")
    slim = kp.rebuild(model, kp.plan(model, keep=0.5), compile="same")
    assert type(slim) is kind and slim.count_params() < model.count_params()
    if kind is OwnLoss:
        x, y = np.ones((4, 8)), np.ones((4, 3))
        assert np.isclose(slim.evaluate(x, y, verbose=0), 7 * np.abs(y - slim.predict(x, verbose=0)).mean(), rtol=1e-4)


def test_what_is_lost_is_said():
    model = WithWidth(16)
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="compute_loss"):
        slim = kp.rebuild(model, kp.plan(model, keep=0.5), compile="same")
    assert type(slim) is not WithWidth
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kp.rebuild(model, kp.plan(model, keep=0.5))  # not compiled: nothing is lost


class Auto(keras.Model):
    """Parts that only a train step joins."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([keras.Input((12,)), layers.Dense(16, activation="relu"), layers.Dense(4)])
        self.decoder = keras.Sequential([keras.Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(12)])

    def train_step(self, data):
        return {"loss": ops.mean((self.decoder(self.encoder(data)) - data) ** 2)}


@pytest.mark.parametrize(
    "act",
    [
        lambda model, x: kp.prune(model, keep=0.5, data=x, verbose=0),
        lambda model, x: kp.functional(model, inputs=x[:2]),
        lambda model, x: kp.trace(model),
        lambda model, x: kp.cost(model),
    ],
    ids=["prune", "functional", "trace", "cost"],
)
def test_a_class_without_call_is_refused_by_its_parts(act):
    x = np.random.default_rng(0).normal(size=(64, 12)).astype("float32")
    model = Auto()
    model.compile("adam")
    with pytest.raises(kp.PruneError, match=r"model\.encoder, model\.decoder"):
        act(model, x)
    assert kp.prune(model.decoder, keep=0.5, data=x[:, :4], verbose=0).slim.count_params() < 300
