"""Activation, against NumPy on a transformer of two blocks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp

TOKENS, WIDTH, HEADS, SIZE = 6, 8, 2, 4
X = np.random.default_rng(0).normal(size=(20, TOKENS, 5)).astype("float32")


def transformer() -> keras.Model:
    inputs = keras.Input((TOKENS, 5))
    x = layers.Dense(WIDTH, name="trunk")(inputs)
    for number in (1, 2):
        y = layers.LayerNormalization(name=f"norm{number}")(x)
        x = layers.Add()([x, layers.MultiHeadAttention(HEADS, SIZE, name=f"attention{number}")(y, y)])
        y = layers.LayerNormalization(name=f"last{number}")(x)
        y = layers.Dense(12, "gelu", name=f"wide{number}")(y)
        x = layers.Add()([x, layers.Dense(WIDTH, name=f"narrow{number}")(y)])
    model = keras.Model(inputs, layers.Dense(3)(layers.LayerNormalization(name="norm")(x)))
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.4, weight.shape))
    return model


def test_scores_are_those_of_numpy():
    model = transformer()
    found = kp.criteria.score(kp.criteria.get("activation"), kp.trace(model), X)
    names = [*(f"{kind}{number}" for kind in ("norm", "last", "wide") for number in (1, 2)), "norm"]
    outputs = keras.Model(model.inputs, [model.get_layer(name).output for name in names])(ops.convert_to_tensor(X))
    seen = dict(zip(names, map(ops.convert_to_numpy, outputs), strict=True))
    for number in (1, 2):
        np.testing.assert_allclose(found[f"wide{number}"], np.abs(seen[f"wide{number}"]).mean(axis=(0, 1)), rtol=1e-4)
        attention, y = model.get_layer(f"attention{number}"), seen[f"norm{number}"]
        q, k, v = (
            np.einsum("btc,chd->bthd", y, ops.convert_to_numpy(each.kernel)) + ops.convert_to_numpy(each.bias)
            for each in (attention._query_dense, attention._key_dense, attention._value_dense)
        )
        scores = np.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(SIZE)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("bhij,bjhd->bihd", weights / weights.sum(-1, keepdims=True), v)
        expected = np.linalg.norm(mixed, axis=-1).mean(axis=(0, 1))
        np.testing.assert_allclose(found[f"attention{number}/heads"], expected, rtol=1e-4)
        if keras.backend.backend() == "jax":  # there values have as many sizes as keys, which are read
            continue
        squares = (np.linalg.norm(each, axis=2).mean(axis=(0, 1)) for each in (q, k))
        np.testing.assert_allclose(found[f"attention{number}/key_dim"], sum(squares), rtol=1e-4)
    trunk = sum(np.abs(seen[name]).mean(axis=(0, 1)) for name in names if "wide" not in name)
    np.testing.assert_allclose(found["trunk"], trunk, rtol=1e-4)


def test_channels_that_nothing_is_read_of_go_first():
    model = transformer()
    kernel = ops.convert_to_numpy(model.get_layer("wide1").kernel).copy()
    bias = ops.convert_to_numpy(model.get_layer("wide1").bias).copy()
    kernel[:, [3, 7]], bias[[3, 7]] = 0, 0
    model.get_layer("wide1").kernel.assign(kernel)
    model.get_layer("wide1").bias.assign(bias)
    plan = kp.plan(model, "activation", keep=10 / 12, data=X)
    assert not {3, 7} & set(plan.keep["wide1"])


def test_examples_are_asked_for():
    with pytest.raises(kp.PruneError, match="data"):
        kp.plan(transformer(), "activation", keep=0.5)
