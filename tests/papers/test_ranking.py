"""Allocations ranked before training: by hand the same, and the dead channels found."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.surgery.comparison import output_error


@pytest.fixture(scope="module")
def trained():
    """A network of two groups, one of which is needed whole and the other not at all beyond two channels."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int32")
    inputs = keras.Input((6,))
    z = layers.BatchNormalization(name="norm")(layers.Dense(16, name="first")(inputs))
    z = layers.ReLU()(z)
    z = layers.BatchNormalization()(layers.Dense(12, name="second")(z))
    model = keras.Model(inputs, layers.Dense(2)(layers.ReLU()(z)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=12, verbose=0)
    return model, x, y


@pytest.mark.thorough
@pytest.mark.parametrize("by", ["removed", "recalibrated", "reconstructed"])
def test_scores_are_those_of_models_made_by_hand(trained, by):
    model, x, y = trained
    allocations = kp.papers.spaces.sample(kp.papers.spaces.Space(model, params=0.5, delta=0.03), n=2)
    ranking = kp.papers.spaces.rank(model, allocations, (x[:200], y[:200]), by=by, validation=(x[200:], y[200:]))
    for number in range(2):
        plan = allocations.plan(number)
        slim = kp.rebuild(model, plan)
        if by == "recalibrated":
            slim = kp.recalibrate(slim, x[:200])
        elif by == "reconstructed":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                slim = kp.reconstruct(slim, model, plan, x[:200])
        accuracy = (np.asarray(slim(x[200:])).argmax(axis=1) == y[200:]).mean()
        assert ranking.scores[number] == pytest.approx(accuracy, abs=1e-6)
    assert ranking.measure == "accuracy"
    assert ranking.plan == allocations.plan(int(np.argmax(ranking.scores)))


@pytest.mark.thorough
def test_without_labels_the_outputs_are_compared(trained):
    model, x, _ = trained
    allocations = kp.papers.spaces.sample(kp.papers.spaces.Space(model, params=0.5, delta=0.03), n=2)
    ranking = kp.papers.spaces.rank(model, allocations, x[:256], by="removed")
    expected = [-output_error(kp.rebuild(model, allocations.plan(i)), model, [x[:256]]) for i in range(2)]
    assert ranking.scores == pytest.approx(expected, rel=1e-4)
    assert ranking.measure == "error"
    with pytest.raises(kp.PruneError, match="no metrics"):
        kp.papers.spaces.rank(model, allocations, x, measure="accuracy")


@pytest.mark.thorough
def test_eagle_eye_takes_the_best_of_random_recipes(trained):
    model, x, y = trained
    slim, plan, ranking = kp.papers.eagle_eye(model, (x, y), macs=0.4, delta=0.05, n=2)
    assert abs(kp.cost(slim).macs / kp.cost(model).macs - 0.4) <= 0.05
    accuracy = slim.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
    assert accuracy == pytest.approx(ranking.scores.max())
    assert plan == ranking.plan
    with pytest.raises(kp.PruneError, match=r"among 1,000,000 random ones"):
        kp.papers.eagle_eye(model, (x, y), macs=0.4, delta=1e-7)
    with pytest.raises(kp.PruneError, match="Received: neither"):
        kp.papers.eagle_eye(model, (x, y))


@pytest.mark.thorough
def test_what_cannot_be_ranked_is_refused(trained):
    model, x, _ = trained
    with pytest.raises(kp.PruneError, match=r"(?s)by='guessed'.*measure='best'.*allocations=None"):
        kp.papers.spaces.rank(model, None, x, by="guessed", measure="best")
