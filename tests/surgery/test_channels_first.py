"""Channels first with as many filters as the width: called, Keras adds their bias along the wrong axis."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune import criteria
from kerasprune.data.signature import signature_of
from kerasprune.export.parity import keras_function
from kerasprune.export.tflite_interpreter import open_interpreter
from kerasprune.repair.synthesis.stored_moments import StoredMoments
from kerasprune.surgery.comparison import outputs_of


def square(data_format: str = "channels_first") -> keras.Model:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((3, 8, 8) if data_format == "channels_first" else (8, 8, 3))
    for name in ("first", "second"):
        x = layers.Conv2D(8, 3, padding="same", data_format=data_format, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(axis=1 if data_format == "channels_first" else -1)(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D(data_format)(x)))
    for layer in model.layers:
        if getattr(layer, "use_bias", False):
            layer.bias.assign(np.random.default_rng(0).normal(size=layer.bias.shape))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


X = np.random.default_rng(0).normal(size=(60, 3, 8, 8)).astype("float32")


def test_outputs_are_those_of_predict():
    model = square()
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(outputs_of(model, X)[0], expected, atol=1e-5)


@pytest.mark.parametrize("epochs", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_such_a_model_is_pruned_and_verified(epochs):
    model = square()
    y = model.predict(X, verbose=0).argmax(1)
    slim, plan, report = kp.prune(model, 0.5, (X, y), epochs=epochs, verbose=0)
    assert report.verified < 1 and report.steps[0].metrics["accuracy"] == 1
    steps = {step.name: step for step in report.steps}
    assert steps["reconstructed"].error < steps["removed"].error
    again = kp.reconstruct(kp.rebuild(model, plan), model, plan, X)
    error = (
        np.square(again.predict(X, verbose=0) - model.predict(X, verbose=0)).mean() / model.predict(X, verbose=0).var()
    )
    assert error < 0.5 and ops.convert_to_numpy(slim(X[:2])).shape == (2, 3)


@pytest.mark.parametrize("criterion", ["hrank", "apoz", "thinet"])
def test_scores_are_those_of_the_same_model_with_channels_last(criterion):
    y = np.arange(len(X)) % 3
    pairs = ((square(), X), (square("channels_last"), np.moveaxis(X, 1, -1)))
    first, last = (criteria.get(criterion).score(kp.trace(model), [(x, y)]) for model, x in pairs)
    for name, scores in last.items():
        np.testing.assert_allclose(first[name], scores, rtol=1e-3, atol=1e-6)


def test_statistics_are_those_of_the_same_model_with_channels_last():
    pairs = ((square(), X), (square("channels_last"), np.moveaxis(X, 1, -1)))
    for model, _ in pairs:
        for norm in (each for each in model.layers if isinstance(each, layers.BatchNormalization)):
            norm.moving_variance.assign(np.linspace(1, 2, 8))
    first, last = (np.concatenate(StoredMoments(model).of([x])) for model, x in pairs)
    np.testing.assert_allclose(first, last, atol=1e-4)


def test_exports_are_compared_with_what_predict_says():
    model = square()
    (outputs,) = keras_function(model, signature_of(model))([X])
    np.testing.assert_allclose(outputs, model.predict(X, verbose=0), atol=1e-5)


@pytest.mark.thorough
def test_exported_and_loaded_it_is_the_same(tmp_path):
    model = square()
    assert kp.verify(model, kp.rebuild(model, kp.Plan({})), kp.Plan({})).passed
    assert kp.export.saved_model(model, tmp_path / "saved", data=X).max_error < 1e-5
    kp.export.tflite(model, tmp_path / "x.tflite", data=X)
    runner = open_interpreter(tmp_path / "x.tflite").get_signature_runner()
    (name,) = runner.get_input_details()
    (made,) = runner(**{name: X[:1]}).values()
    np.testing.assert_allclose(made, model.predict(X[:1], verbose=0), atol=1e-5)
