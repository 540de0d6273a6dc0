"""Gates: the same function with them, scales for polarization, and the same function without them again."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.rules.gate import Gate

IMAGES = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")


def network() -> keras.Model:
    """Returns a network without BatchNorm: a residual trunk, relu inside and behind layers, one layer with tanh."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = trunk = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="second")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([trunk, x])))
    x = layers.Dense(7, activation="tanh", name="bent")(layers.Dense(10, "relu", name="hidden")(x))
    model = keras.Model(inputs, layers.Dense(4, name="logits")(x))
    for variable in model.weights:
        if variable.name == "bias":
            variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    return model


@pytest.fixture(scope="module")
def fitted():
    """The network with gates, polarized for two epochs."""
    model = kp.surgery.gated(network())
    model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callback = kp.callbacks.Polarization(strength=0.05, macs=0.5)
    with pytest.warns(UserWarning, match="'bent' is kept whole: no BatchNorm scales all of its channels"):
        model.fit(IMAGES, np.arange(16) % 4, epochs=2, callbacks=[callback], verbose=0)
    return model, callback


def gates(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, Gate)]


def outputs(model: keras.Model) -> np.ndarray:
    return np.asarray(model(IMAGES))


@pytest.mark.experiments
def test_gates_do_not_change_the_function_and_stand_where_nothing_scales():
    model = network()
    found = kp.surgery.gated(model)
    assert gates(found) == ["stem_gate", "first_gate", "second_gate", "hidden_gate"]  # tanh does not commute with γ
    np.testing.assert_array_equal(outputs(found), outputs(model))
    assert kp.cost(found).params == kp.cost(model).params == model.count_params()
    normed = kp.models.resnet_cifar(depth=8, classes=4, input_shape=(8, 8, 3))
    assert kp.surgery.gated(normed) is normed


def test_rebuilt_models_have_no_gates_and_the_same_function(fitted):
    model, callback = fitted
    scales = {name: np.asarray(model.get_layer(name).gamma) for name in gates(model)}
    assert all((scale < 1).any() for scale in scales.values())
    whole = kp.rebuild(model, kp.Plan({}))
    assert not gates(whole) and not any("kerasprune" in type(layer).__module__ for layer in whole.layers)
    np.testing.assert_allclose(outputs(whole), outputs(model), atol=1e-5)
    first = model.get_layer("first")
    np.testing.assert_allclose(whole.get_layer("first").kernel, first.kernel * scales["first_gate"], rtol=1e-6)
    np.testing.assert_allclose(whole.get_layer("first").bias, first.bias * scales["first_gate"], rtol=1e-6)


@pytest.mark.thorough
def test_polarized_gates_say_what_goes(fitted):
    model, callback = fitted
    assert set(callback.scales) == {f"{name}/gamma" for name in gates(model)}
    plan = callback.plan
    assert {"stem", "first", "hidden"} == set(plan.keep)
    slim = kp.rebuild(model, plan, absorb=False)
    np.testing.assert_allclose(outputs(slim), outputs(kp.mask(model, plan)), atol=1e-5)
    assert not gates(slim) and kp.cost(slim).macs <= 0.55 * kp.cost(model).macs
    assert kp.cost(model, plan).params == slim.count_params()
    assert kp.verify(model, kp.rebuild(model, plan), plan)


def test_a_gate_of_ones_own_in_another_place_is_refused():
    inputs = keras.Input((6,))
    x = Gate(name="mine")(layers.Dense(5, activation="tanh", name="bent")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(kp.PruneError, match="'mine' after 'bent' of class Dense"):
        kp.rebuild(model, kp.Plan({}))
