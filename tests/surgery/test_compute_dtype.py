"""Copies in another precision compute the same, and belong to nobody else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.surgery.compute_dtype import in_precision


def half() -> keras.Model:
    """Half precision in composite layers, in a nested model and in a layer that stays in float32."""
    inputs = keras.Input((6,))
    inner = keras.Sequential([keras.Input((4, 6)), layers.Dense(3, dtype="mixed_float16", name="inner")])
    x = layers.Bidirectional(layers.LSTM(3, dtype="mixed_float16"), name="both")(layers.Reshape((3, 2))(inputs))
    x = layers.RepeatVector(4, dtype="mixed_float16")(x)
    x = layers.Flatten()(inner(x + 1.0))
    return keras.Model(inputs, layers.Dense(2, dtype="bfloat16", name="out")(x))


@pytest.mark.jax
def test_half_precision_is_copied_into_single():
    model = half()
    copy, there = in_precision(model, "float32")
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    assert keras.backend.standardize_dtype(copy(x).dtype) == "float32"
    found, expected = (keras.ops.convert_to_numpy(keras.ops.cast(each(x), "float32")) for each in (copy, model))
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert set(there) == set(map(id, model.variables))
    for old in model.weights:
        new = there[id(old)]
        assert new is not old and "float32" in str(new.dtype)
        old_values, new_values = (keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in (old, new))
        np.testing.assert_array_equal(new_values, old_values)


def test_double_precision_is_that_of_numpy():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.Dense(50, "tanh", name="hidden")(inputs)))
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32").astype("float64")  # inputs stay in float32
    (w, b), (v, c) = (map(np.float64, model.get_layer(name).get_weights()) for name in ("hidden", "out"))
    copy, _ = in_precision(model, "float64")
    np.testing.assert_allclose(copy(x), np.tanh(x @ w + b) @ v + c, rtol=1e-13)
    assert in_precision(model, "float32")[0] is model and model.layers[1].dtype_policy.name == "float32"
    assert in_precision(copy, "float32")[0] is copy


def test_unknown_precisions_are_refused(monkeypatch):
    with pytest.raises(kp.PruneError, match="'float16'. Did you mean"):
        in_precision(half(), "float16")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(kp.PruneError, match="precision='float64' on 'jax'. Take TensorFlow"):
        in_precision(half(), "float64")
