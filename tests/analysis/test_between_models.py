"""The segment between two models: against weights averaged by hand, and a convex loss."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.analysis import judged_weights

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(40, 3)).astype("float32"), RANDOM.integers(0, 4, 40)


def net(*, norm: bool = False, hidden: bool = True, seed: int = 0) -> keras.Model:
    inputs = x = keras.Input((3,))
    if hidden:
        x = keras.layers.Dense(6, activation=None if norm else "relu")(x)
    if norm:
        x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(random.uniform(0.3, 1.5, variable.shape) * (1 if norm else random.choice([-1, 1])))
    return model


def by_hand(model: keras.Model) -> tuple[float, float]:
    scores = keras.ops.convert_to_numpy(model(X, training=False)).astype("float64")
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(Y)), Y].mean()), float((scores.argmax(axis=1) != Y).mean())


@pytest.mark.jax
def test_points_are_the_losses_of_weights_averaged_by_hand():
    a, b, own = net(seed=1), net(seed=2), net()
    before = [each.copy() for model in (a, b) for each in model.get_weights()]
    found = kp.analysis.line(a, b, (X, Y), points=5)
    for place, alpha in enumerate((0, 0.25, 0.5, 0.75, 1)):
        pairs = zip(a.get_weights(), b.get_weights(), strict=True)
        own.set_weights([(1 - alpha) * one + alpha * other for one, other in pairs])
        np.testing.assert_allclose((found.losses[place], found.errors[place]), by_hand(own), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose((found.losses[0], found.losses[-1]), (by_hand(a)[0], by_hand(b)[0]), rtol=1e-6)
    assert found.instability == found.errors.max() - (found.errors[0] + found.errors[-1]) / 2
    for one, other in zip(before, a.get_weights() + b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.jax
def test_a_convex_loss_stays_below_the_straight_line():
    a, b = net(hidden=False, seed=1), net(hidden=False, seed=2)
    found = kp.analysis.line(a, b, (X, Y), points=9)
    straight = (1 - found.alphas) * found.losses[0] + found.alphas * found.losses[-1]
    assert (found.losses <= straight + 1e-6).all()
    assert (found.losses < straight - 1e-3).any()
    assert found.barrier == pytest.approx(0, abs=1e-6)
    of_loss = found.losses.max() - found.losses[[0, -1]].mean()
    assert of_loss == pytest.approx(abs(found.losses[0] - found.losses[-1]) / 2, abs=1e-6)


@pytest.mark.jax
def test_statistics_between_the_ends_are_those_of_recalibrated_models():
    a, b, own = net(norm=True, seed=1), net(norm=True, seed=2), net(norm=True)
    training = np.random.default_rng(5).normal(1, 2, size=(64, 3)).astype("float32")
    found = kp.analysis.line(a, b, (X, Y), points=3, recalibrate=training)
    own.set_weights([(one + other) / 2 for one, other in zip(a.get_weights(), b.get_weights(), strict=True)])
    assert abs(by_hand(own)[0] - found.losses[1]) > 1e-3
    np.testing.assert_allclose(found.losses[1], by_hand(kp.recalibrate(own, training))[0], rtol=1e-5)
    np.testing.assert_allclose(found.losses[[0, 2]], [by_hand(a)[0], by_hand(b)[0]], rtol=1e-5)
    with pytest.raises(kp.PruneError, match="recalibrate=None"):
        kp.analysis.line(a, b, (X, Y))


def test_other_shapes_and_too_few_points_are_refused():
    with pytest.raises(kp.PruneError, match="one architecture"):
        kp.analysis.line(net(), net(hidden=False), (X, Y))
    with pytest.raises(kp.PruneError, match="points=1"):
        kp.analysis.line(net(), net(), (X, Y), points=1)


def test_errors_are_the_losses_without_classes():
    assert judged_weights._wrong([np.ones((4, 3))], [np.full((4, 3), 0.5)]) is None
    assert judged_weights._wrong([np.eye(3)], [np.eye(3)[[0, 1, 1]]]) == pytest.approx(1 / 3)


def test_the_figure_is_written(tmp_path):
    found = kp.analysis.line(net(seed=1), net(seed=2), (X, Y), points=3)
    assert found.plot(tmp_path / "line.svg").read_text(encoding="utf-8").startswith("<?xml")
