"""Channels first with as many filters as the width: called, Keras adds their bias along the wrong axis."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.surgery.comparison import outputs_of


def square(filters: int = 8) -> keras.Model:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((3, 8, 8))
    for name in ("first", "second"):
        x = layers.Conv2D(filters, 3, padding="same", data_format="channels_first", name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D(data_format="channels_first")(x)))
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


@pytest.mark.parametrize("epochs", [0, 1])
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
