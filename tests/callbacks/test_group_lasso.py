"""The group lasso: its proximal step by the formula, exact zeros, and models that lose them without loss."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.callbacks import GroupLasso

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(64, 2)).astype("float32")


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu", name="first")(inputs)
    x = layers.Add()([layers.Dense(5, name="one")(x), layers.Dense(5, name="two")(x)])
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def fitted(callback: GroupLasso, rate: float = 0.1, epochs: int = 1, y=Y, batch: int = 64) -> keras.Model:
    model = network()
    model.compile(keras.optimizers.SGD(rate), "mse")
    model.fit(X, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[callback])
    return model


def norms(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the norms of all weights of a channel, by hand."""
    first, one, two, last = (
        ops.convert_to_numpy(model.get_layer(name).kernel) for name in ("first", "one", "two", "last")
    )
    hidden = (first**2).sum(0) + (one**2).sum(1) + (two**2).sum(1)
    return {"first": np.sqrt(hidden), "sum": np.sqrt((one**2).sum(0) + (two**2).sum(0) + (last**2).sum(1))}


def test_one_step_is_the_proximal_step():
    """After a plain step of SGD every channel is shortened by η λ √n in its norm; a kernel of two groups by both."""
    rate, strength = 0.1, 0.2
    callback = GroupLasso(keep=0.5, strength=strength)
    with pytest.warns(UserWarning, match="Raise strength"):
        pushed = fitted(callback, rate)
    plain = network()
    plain.compile(keras.optimizers.SGD(rate), "mse")
    plain.fit(X, Y, batch_size=64, epochs=1, verbose=0)
    before = norms(plain)
    left = {
        "first": 1 - rate * strength * np.sqrt(6 + 5 + 5) / before["first"],
        "sum": 1 - rate * strength * np.sqrt(8 + 8 + 2) / before["sum"],
    }
    kernel = ops.convert_to_numpy(plain.get_layer("last").kernel) * left["sum"][:, None]
    np.testing.assert_allclose(ops.convert_to_numpy(pushed.get_layer("last").kernel), kernel, atol=1e-6)
    kernel = ops.convert_to_numpy(plain.get_layer("one").kernel) * left["first"][:, None] * left["sum"]
    np.testing.assert_allclose(ops.convert_to_numpy(pushed.get_layer("one").kernel), kernel, atol=1e-3)
    bias = ops.convert_to_numpy(plain.get_layer("first").bias)
    np.testing.assert_allclose(ops.convert_to_numpy(pushed.get_layer("first").bias), bias, atol=1e-6)


def test_channels_at_zero_are_cut_without_loss():
    callback = GroupLasso(keep=0.7, strength=0.03)
    target = X[:, :2] @ np.random.default_rng(2).normal(size=(2, 2)).astype("float32")
    model = fitted(callback, epochs=60, y=target, batch=8)
    gone = [name for name, kept in callback.plan.keep.items() if len(kept) < len(norms(model)[_key(name)])]
    assert gone and callback.removed_to_kept == 0
    slim = kp.rebuild(model, callback.plan)
    np.testing.assert_allclose(slim.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)


def test_more_zeros_than_asked_for_are_told():
    with pytest.warns(UserWarning, match="GroupLasso keeps are zero, too. Keep less"):
        fitted(GroupLasso(keep=0.9, strength=1.0), epochs=20)


def _key(name: str) -> str:
    return "first" if name == "first" else "sum"


def test_a_plan_decides_what_is_pushed():
    plan = kp.Plan({"first": [1, 2, 5]})
    callback = GroupLasso(plan, strength=1.0)
    model = fitted(callback, epochs=30)
    left = norms(model)["first"]
    assert not left[[0, 3, 4, 6, 7]].any() and left[[1, 2, 5]].all()
    assert {name: list(kept) for name, kept in callback.plan.keep.items()} == {"first": [1, 2, 5]}


def test_the_target_decides_how_much_is_removed():
    callback = GroupLasso(macs=0.5, strength=0.02, round_to=1)
    with pytest.warns(UserWarning, match="Raise strength"):
        model = fitted(callback)
    assert kp.cost(model, callback.plan).macs <= 0.6 * kp.cost(model).macs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "one of plan=, keep= and macs=. Received: none"),
        ({"keep": 0.5, "macs": 0.5}, "Received: keep, macs"),
        ({"plan": kp.Plan({"first": [0]}), "freeze": ["one"]}, "freeze= without a plan"),
        ({"keep": 0.5, "strength": -1.0}, "strength"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said):
    with pytest.raises(kp.PruneError, match=said):
        GroupLasso(**arguments)


def test_a_model_without_channels_is_refused():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(kp.PruneError, match="Expected channels to push"):
        model.fit(X, Y, verbose=0, callbacks=[GroupLasso(keep=0.5)])
    with pytest.raises(kp.PruneError, match="Expected a finished fit"):
        _ = GroupLasso(keep=0.5).plan
