"""Names that Keras allows, and TensorFlow does not, are renamed for the file and named as they are in reports."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune._keras import inner_layers
from kerasprune.export.plain_names import with_plain_names
from kerasprune.testing import compare, random_inputs


def odd():
    inner = keras.Sequential([keras.Input((48,)), layers.Dense(4, name="é x"), layers.ReLU(name="_act")], name="in ner")
    branch = [layers.Dense(48, activation="relu", name="dense 1"), inner, layers.Dense(3, name="a:b@c")]
    return keras.Sequential([keras.Input((6,), name="in put"), layers.Dense(6, name="λ"), *branch], name="my model")


def test_a_copy_has_plain_names_and_computes_the_same():
    model = odd()
    plain = with_plain_names(model)
    assert compare(model, plain, random_inputs(model)).error < 1e-6
    names = [layer.name for layer in inner_layers(plain) if not isinstance(layer, layers.InputLayer)]
    assert all(name.isascii() and name[0].isalpha() and name.isidentifier() for name in names)
    assert with_plain_names(plain) is plain and model.layers[0].name == "λ"


def test_repeated_odd_names_stay_apart():
    inputs = keras.Input((6,))
    x = layers.Dense(4, name="a b")(layers.Dense(5, name="a.b")(layers.Dense(6, name="a_b")(inputs)))
    names = [layer.name for layer in with_plain_names(keras.Model(inputs, x)).layers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("quantize", [None, "int8", pytest.param("dynamic", marks=pytest.mark.thorough)])
def test_files(quantize, tmp_path):
    data = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    report = kp.export.tflite(odd(), tmp_path / "a.tflite", quantize=quantize, data=data)
    assert report.max_error < 0.2


@pytest.mark.parametrize("name", ["λ", "_x", "1st"])
def test_outputs_of_odd_names(name, tmp_path):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.Dense(3, name=name)])
    assert kp.export.tflite(model, tmp_path / "a.tflite").max_error < 1e-5


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["in", "λ", "_x", "1st", "self", "None"])
def test_inputs_of_odd_names(name, tmp_path):
    """As arguments of a function, which TensorFlow makes of them; a word of Python is none."""
    model = keras.Sequential([keras.Input((6,), name=name), layers.Dense(3)])
    assert kp.export.tflite(model, tmp_path / "a.tflite").max_error < 1e-5
    assert kp.export.saved_model(model, tmp_path / "saved").max_error < 1e-5


@pytest.mark.thorough
def test_reports_name_layers_as_they_are(tmp_path):
    data = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    report = kp.export.tflite(odd(), tmp_path / "a.tflite", quantize="mixed", data=data, float_layers=["dense 1"])
    assert report.float_layers == ("dense 1",)
    kp.export.saved_model(odd(), tmp_path / "saved")
    kp.latency.profile(odd(), verbose=0)
