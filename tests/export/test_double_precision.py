"""Models in float64 are drawn from, exported and verified like others; files compute in float32."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others compute in float32 at most")
X = np.random.default_rng(0).normal(size=(120, 8, 8, 3))
Y = np.arange(120) % 3


@pytest.fixture(params=["everywhere", "policies", "a nested part"])
def model(request):
    """Returns a small classifier in float64, or with a part of it."""
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    double = None if request.param == "everywhere" else "float64"
    last = "float64" if request.param == "policies" else None
    if request.param == "everywhere":
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
    try:
        body = keras.Sequential(
            [
                keras.Input((8, 8, 3), dtype=double),
                layers.Conv2D(8, 3, dtype=double, name="conv"),
                layers.BatchNormalization(dtype=double),
                layers.ReLU(dtype=double),
            ]
        )
        x = body(inputs := keras.Input((8, 8, 3), dtype=last))
        x = layers.GlobalAveragePooling2D(dtype=last)(layers.Conv2D(8, 3, activation="relu", dtype=last)(x))
        made = keras.Model(inputs, layers.Dense(3, dtype=last)(x))
        norm = body.layers[1]
        norm.moving_mean.assign(np.random.default_rng(1).normal(size=8))
        norm.moving_variance.assign(np.random.default_rng(1).uniform(0.5, 2, size=8))
        yield made
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


def slim_of(model):
    return kp.rebuild(model, kp.plan(model, keep=0.5))


def unpacked(model, folder):
    kp.codec.pack(model, folder / "model.kpz")
    return kp.codec.unpack(folder / "model.kpz")


WAYS = {
    "draw": lambda model, folder: kp.synthesise(model, 4, steps=20),
    "noise": lambda model, folder: kp.synthesise(model, 4, method="noise"),
    "prune without data": lambda model, folder: kp.prune(model, keep=0.5, verbose=0),
    "prune": lambda model, folder: kp.prune(model, keep=0.5, data=X, verbose=0),
    "verify": lambda model, folder: kp.verify(model, slim_of(model), kp.plan(model, keep=0.5)),
    "equalise": lambda model, folder: kp.quantization.equalise(model),
    "biases": lambda model, folder: kp.quantization.correct_biases(model, X),
    "fold": lambda model, folder: kp.fold(model, kp.plan(model, keep=0.5)),
    "saved_model": lambda model, folder: kp.export.saved_model(slim_of(model), folder / "saved"),
    "pack": unpacked,
}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=() if way == "noise" else pytest.mark.thorough) for way in WAYS]
)
def test_a_model_in_double_precision_is_taken(model, way, tmp_path):
    WAYS[way](model, tmp_path)


@pytest.mark.parametrize(
    "quantize",
    [None, *(pytest.param(name, marks=pytest.mark.thorough) for name in ("float16", "dynamic", "int8", "int16x8"))],
)
def test_a_file_of_it_computes_in_float32(model, quantize, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    report = kp.export.tflite(model, tmp_path / "file.tflite", data=X, quantize=quantize)
    assert report.error < 0.1 and (quantize or report.error < 1e-5)
    opened = interpreter.Interpreter(str(tmp_path / "file.tflite"))
    assert {each["dtype"] for each in opened.get_input_details()} == {np.float32}


def test_training_with_rounding_says_that_it_takes_float32(model):
    with pytest.raises(kp.PruneError, match="in float64"):
        kp.quantization_aware(model)
