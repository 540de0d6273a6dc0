"""Many slim models solved towards the same dense one: by a closed form, and in any order."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.planning.budgets.trials import Trials
from kerasprune.repair.reconstruction.least_squares import LeastSquares


@pytest.fixture(scope="module")
def dense():
    """A small residual network, its graph, and examples."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    stem = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", name="stem")(inputs))
    stem = layers.Activation("relu")(stem)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(stem)
    x = layers.Add(name="sum")([stem, layers.Conv2D(8, 3, padding="same", name="second")(x)])
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    model = keras.Model(inputs, layers.Dense(5, activation="softmax")(x))
    return kp.trace(model), np.random.default_rng(0).normal(size=(64, 6, 6, 3)).astype("float32")


def test_the_error_is_that_of_least_squares_on_the_other_half():
    """One hidden layer, which is exact: what is left of it read anew, by `lstsq`."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(12, "relu", name="hidden"), layers.Dense(4)])
    data = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    plan = kp.plan(model, keep=0.4)
    kernel, bias = model.get_layer("hidden").get_weights()
    hidden = np.maximum(data @ kernel + bias, 0)[:, plan.keep["hidden"]]
    rows, target = np.c_[hidden, np.ones(300)], model.predict(data, verbose=0)
    wrong = rows[150:] @ np.linalg.lstsq(rows[:150], target[:150], rcond=None)[0] - target[150:]
    expected = (wrong**2).sum() / ((target[150:] - target[150:].mean(axis=0)) ** 2).sum()
    assert Trials(kp.trace(model), data, samples=300, ridge=1e-9).error(plan) == pytest.approx(expected, rel=1e-3)


def test_plans_are_measured_alike_in_any_order(dense):
    graph, data = dense
    narrow, other = kp.plan(graph, keep=0.25), kp.plan(graph, "random", keep=0.5)
    dropped = kp.Plan.of(graph, {"stem": range(6)}, removed=["sum"])
    plans = (narrow, other, dropped, narrow, kp.Plan.of(graph, {}))
    first, second, third, again, whole = map(Trials(graph, data, samples=64).error, plans)
    assert first == again and whole < 1e-9 < second
    fresh = Trials(graph, data, samples=64)
    assert (fresh.error(dropped), fresh.error(other)) == pytest.approx((third, second), rel=0.2)


@pytest.mark.parametrize("turns", [0, 2, 5])
def test_what_a_relu_cuts_off_is_looked_at_anew_as_often_as_is_said(dense, turns, monkeypatch):
    graph, data = dense
    solved = []
    solve = LeastSquares.solve
    monkeypatch.setattr(LeastSquares, "solve", lambda self, *given: solved.append(self) or solve(self, *given))
    Trials(graph, data, samples=64, turns=turns).error(kp.plan(graph, keep=0.5))
    often = [sum(each is other for other in solved) for each in {id(each): each for each in solved}.values()]
    assert sorted(often) == [1, *3 * [1 + turns]]  # logits; three convolutions before a relu


def test_halves_need_two_examples_each(dense):
    graph, data = dense
    with pytest.raises(kp.PruneError, match="at least four examples.*Received: 3"):
        Trials(graph, data[:3])
    assert Trials(graph, data[:4]).error(kp.plan(graph, keep=0.5)) < 1e3
