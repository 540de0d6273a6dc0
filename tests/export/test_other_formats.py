"""Keras's own export of slim models: ONNX and OpenVINO files compute what the model computes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

pytestmark = pytest.mark.thorough


def attending():
    x = inputs = keras.Input((6, 8))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Dense(16, activation="silu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def of_onnx(path, x):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def of_openvino(path, x):
    compiled = pytest.importorskip("openvino").Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(x)[0]


@pytest.mark.experiments
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the converters read TensorFlow's graphs")
@pytest.mark.parametrize(("name", "needs", "run"), [("onnx", "tf2onnx", of_onnx), ("xml", "openvino", of_openvino)])
@pytest.mark.parametrize("make", [lambda: kp.models.resnet_cifar(8, input_shape=(16, 16, 3), classes=5), attending])
def test_a_slim_model_is_exported_by_keras(make, name, needs, run, tmp_path):
    pytest.importorskip(needs)
    keras.utils.set_random_seed(0)
    model = make()
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype("float32")
    expected = slim.predict(x, verbose=0)  # Keras exports a model that was called
    path = str(tmp_path / f"slim.{name}")
    slim.export(path, format="onnx" if name == "onnx" else "openvino", verbose=False)
    np.testing.assert_allclose(run(path, x), expected, atol=1e-5)
