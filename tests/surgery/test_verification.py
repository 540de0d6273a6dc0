"""The guarantee as a function: a verdict on right models, on models made wrong on purpose, and bad arguments."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import random_plan, randomise


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(8, 3, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(8, 3, padding="same", name="branch")(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return randomise(keras.Model(inputs, layers.Dense(4, name="logits")(x)))


@pytest.fixture(scope="module")
def plan(model):
    return random_plan(kp.trace(model))


@pytest.mark.parametrize("absorb", [True, False])
def test_a_rebuilt_model_passes(model, plan, absorb):
    verdict = kp.verify(model, kp.rebuild(model, plan, absorb=absorb), plan, reload=False)
    assert verdict.passed and verdict.copy_error < 1e-6 and str(verdict).startswith("verified: yes")
    assert verdict.approximate == (("branch",) if absorb else ()) or verdict.error < 1e-5
    assert verdict.params[0] == verdict.params[1] and verdict.macs[0] == verdict.macs[1]


@pytest.mark.thorough
def test_it_is_loaded_in_a_process_without_kerasprune(model, plan):
    verdict = kp.verify(model, kp.rebuild(model, plan), plan, strict=True)
    assert verdict.reload_error is not None and verdict.reload_error < 1e-6


def test_folded_constants_explain_no_wrong_surgery(monkeypatch, model, plan):
    """At the border of `branch` folded constants do not hold; a layer that is copied wrongly shows all the same."""
    from kerasprune.surgery import rebuild as module

    made = module.make_layer

    def wrong(layer, *how):
        new = made(layer, *how)
        if layer.name == "branch":
            new.activation = keras.activations.tanh
        return new

    assert kp.verify(model, kp.rebuild(model, plan), plan, reload=False).approximate == ("branch",)
    monkeypatch.setattr(module, "make_layer", wrong)
    verdict = kp.verify(model, kp.rebuild(model, plan), plan, reload=False)
    assert not verdict.passed and not verdict.approximate


def test_a_batch_of_ones_own(model, plan):
    batch = np.random.default_rng(3).normal(size=(2, 9, 9, 3)).astype("float32")
    assert kp.verify(model, kp.rebuild(model, plan), plan, batch, reload=False).passed


def test_other_weights_are_found(model, plan):
    slim = kp.rebuild(model, plan)
    slim.get_layer("logits").bias.assign(np.ones(4))
    verdict = kp.verify(model, slim, plan, reload=False)
    assert not verdict.passed and verdict.error > 1e-3 and "verified: NO" in str(verdict)
    with pytest.raises(kp.PruneError, match="The slim model differs by"):
        kp.verify(model, slim, plan, strict=True, reload=False)


def test_outputs_that_are_no_numbers_are_found(model, plan):
    slim = kp.rebuild(model, plan)
    slim.get_layer("logits").bias.assign([np.nan, 0, 0, 0])
    verdict = kp.verify(model, slim, plan, reload=False)
    assert not verdict.passed and verdict.error == float("inf")
    with pytest.raises(kp.PruneError, match="Expected finite weights.*smaller learning rate.$"):
        kp.verify(slim, slim, kp.Plan({}), reload=False)


def test_another_width_is_found(model, plan):
    other = random_plan(kp.trace(model), seed=5)
    assert other != plan
    verdict = kp.verify(model, kp.rebuild(model, other), plan, reload=False)
    assert not verdict.passed and any("were predicted" in fault for fault in verdict.faults)


def test_swapped_models_are_said(model, plan):
    by_hand = kp.Plan({"first": [0, 3]})  # without a fingerprint it fits both
    for each in (plan, by_hand):
        slim = kp.rebuild(model, each)
        with pytest.raises(kp.PruneError, match="dense model as model.*Swap the two"):
            kp.verify(slim, model, each, reload=False)
        assert kp.verify(model, slim, each, reload=False).passed


def test_a_layer_that_its_config_does_not_give_back_is_found(monkeypatch, model, plan):
    """The masked model is copied as the slim one is: only the comparison with the dense model itself sees it."""
    from kerasprune.surgery import rebuild as module

    def forgetful(layer, *how):
        new = made(layer, *how)
        if layer.name == "first":
            new.activation = keras.activations.tanh
        return new

    made = module.make_layer
    monkeypatch.setattr(module, "make_layer", forgetful)
    monkeypatch.setattr("kerasprune.surgery.mask.make_layer", forgetful)
    verdict = kp.verify(model, kp.rebuild(model, plan, absorb=False), plan, reload=False)
    assert verdict.error < 1e-5 and verdict.copy_error > 1e-2 and not verdict.passed


@pytest.mark.thorough
def test_a_layer_that_needs_kerasprune_is_found(model, plan):
    class Own(layers.Layer):
        def call(self, x):
            return x

    slim = kp.rebuild(model, plan)
    with pytest.raises(kp.PruneError, match="loads in another process"):
        kp.verify(model, keras.Model(slim.inputs, Own()(slim.outputs[0])), plan)


def test_bad_arguments_are_gathered(model, plan):
    with pytest.raises(kp.PruneError, match=r"model=None(.|\n)*slim='slim.keras'(.|\n)*plan={}"):
        kp.verify(None, "slim.keras", {})


def test_a_model_that_does_not_take_random_inputs_needs_others():
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(8, 4)(inputs - 100)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(8, "relu", name="hidden")(x)))
    plan = kp.plan(model, keep=0.5)
    slim = kp.rebuild(model, plan)
    with pytest.raises(kp.PruneError, match="Give data to compare on"):
        kp.verify(model, slim, plan)
    assert kp.verify(model, slim, plan, np.full((2, 6), 103), reload=False).passed


def test_what_was_not_compared_is_not_said_to_be_equal():
    class Draws(layers.Layer):
        def call(self, x):
            return x + keras.random.normal((2, 5, 3), seed=draws)

    draws, inputs = keras.random.SeedGenerator(0), keras.Input(batch_shape=(2, 5, 3))
    graph = kp.trace(keras.Model(inputs, layers.Dense(2)(layers.GRU(6)(Draws()(inputs)))), unknown="freeze")
    plan = kp.plan(graph, keep=0.5)
    text = str(kp.verify(graph, kp.rebuild(graph, plan), plan, np.ones((2, 5, 3)), reload=False))
    assert text.startswith("verified: the predicted cost\noutputs: not compared") and "nan" not in text


def test_what_a_layer_remembers_is_not_compared_and_not_lost():
    """A stateful layer goes on from the call before."""
    inputs = keras.Input(batch_shape=(2, 5, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.GRU(6, stateful=True, name="cells")(inputs)))
    model(np.ones((2, 5, 3)))
    before = [np.array(state) for state in model.get_layer("cells").states]
    plan = kp.plan(model, keep=0.5)
    verdict = kp.verify(model, kp.rebuild(model, plan), plan, reload=False)
    assert verdict.passed and verdict.error < 1e-5
    assert all(map(np.array_equal, before, map(np.array, model.get_layer("cells").states))) and np.any(before[0])


def test_masks_pass_a_normalisation_of_the_masked_model_without_a_warning():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.LayerNormalization()(layers.Dense(8)(layers.Embedding(9, 4, mask_zero=True)(tokens)))
    model = keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*does not support masking")
        plan = kp.plan(model, keep=0.5)
        assert kp.verify(model, kp.rebuild(model, plan), plan, np.array([[1, 2, 3, 0, 0, 0]]), reload=False).passed
