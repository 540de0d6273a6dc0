"""The error of the last features, against the same computed from models that put the features out."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.repair.reconstruction.feature_error import feature_error, logit_error


@pytest.fixture(scope="module")
def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(inputs)
    y = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="inner")(x)
    x = keras.layers.Add()([x, keras.layers.Conv2D(6, 3, padding="same", name="branch")(y)])
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


DATA = np.random.default_rng(0).normal(size=(300, 8, 8, 3)).astype("float32")


def by_hand(slim: keras.Model, model: keras.Model, kept) -> float:
    ours, theirs = (
        keras.ops.convert_to_numpy(keras.Model(m.inputs, m.get_layer("features").output)([DATA])) for m in (slim, model)
    )
    theirs = theirs[:, kept].astype("float64")
    return ((ours - theirs) ** 2).sum() / ((theirs - theirs.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("keep", [{"inner": [0, 3]}, {"stem": [1, 2, 5], "inner": [0, 4]}])
def test_the_error_of_kept_features(net, keep):
    plan = kp.Plan(keep)
    slim = kp.rebuild(net, plan)
    expected = by_hand(slim, net, list(keep.get("stem", range(6))))
    assert expected > 0.01 and feature_error(slim, net, plan, DATA) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_the_error_of_logits_before_their_activation(net, activation):
    x = keras.layers.Dense(3, activation, name="end")(net.get_layer("features").output)
    model = keras.Model(net.inputs, x)
    plan = kp.Plan({"stem": [1, 2, 5]})
    slim = kp.rebuild(model, plan)
    ours, theirs = (
        keras.ops.convert_to_numpy(keras.Model(m.inputs, m.get_layer("features").output)([DATA]))
        @ m.get_layer("end").get_weights()[0]
        + m.get_layer("end").get_weights()[1]
        for m in (slim, model)
    )
    expected = ((ours - theirs) ** 2).sum() / ((theirs - theirs.mean(axis=0)) ** 2).sum()
    assert logit_error(slim, model, plan, DATA) == pytest.approx(expected, rel=1e-3)


def test_blocks_that_are_gone(net):
    plan = kp.Plan({}, removed=[next(iter(kp.trace(net).blocks))])
    slim = kp.rebuild(net, plan)
    assert feature_error(slim, net, plan, DATA) == pytest.approx(by_hand(slim, net, list(range(6))), rel=1e-4)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: (x, np.zeros(len(x))),
        lambda x: [(x[:100], 0), (x[100:], 0)],
        lambda x: (part for part in np.split(x, 3)),
        lambda x: [[x[:200], np.zeros(200)], [x[200:], np.zeros(100)]],
    ],
)
def test_the_forms_of_data(net, form):
    plan = kp.Plan({"inner": [0, 3]})
    slim = kp.rebuild(net, plan)
    assert feature_error(slim, net, plan, form(DATA)) == pytest.approx(feature_error(slim, net, plan, DATA), rel=1e-6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA[:, :4], "Expected shape .*Received: shape"),
        (DATA[0], "Expected shape"),
        (np.full_like(DATA, np.nan), "NaN or infinity"),
        (DATA[:0], "Received: none"),
        (None, "data=None"),
        ("folder", "data='folder'"),
    ],
)
def test_data_that_do_not_fit(net, data, message):
    plan = kp.Plan({"inner": [0, 3]})
    with pytest.raises(kp.PruneError, match=message):
        feature_error(kp.rebuild(net, plan), net, plan, data)


def test_a_slim_model_of_another_plan(net):
    slim = kp.rebuild(net, kp.Plan({"inner": [0, 3]}))
    with pytest.raises(kp.PruneError, match="3 channels out of 'inner'. Received: 2"):
        feature_error(slim, net, kp.Plan({"inner": [0, 3, 4]}), DATA)
