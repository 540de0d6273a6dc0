"""Logits of attention after sizes of its heads are gone: as near as any product of so few sizes comes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.repair.reconstruction.attention_logits import less_means, reduce_rank

HEADS, SIZE, TOKENS, LEFT = 4, 8, 10, 3
KINDS = {
    "heads of their own": lambda **how: layers.MultiHeadAttention(HEADS, SIZE, name="attention", **how),
    "shared keys": lambda **how: layers.GroupQueryAttention(SIZE, HEADS, 2, name="attention", **how),
}
GROUPS = {"heads of their own": "attention/key_dim", "shared keys": "attention/head_dim"}
SHARED = {"heads of their own": 1, "shared keys": 2}
DATA = np.random.default_rng(0).normal(size=(400, TOKENS, 12)).astype("float32")


def model_of(kind: str, calls: int = 1, **how) -> keras.Model:
    inputs = keras.Input((TOKENS, 12))
    x, attention = layers.Dense(16, name="trunk")(inputs), KINDS[kind](**how)
    x = layers.Add()([x, *(attention(each, each) for each in (x, layers.ReLU()(x))[:calls])])
    model = keras.Model(inputs, layers.Dense(5)(x))
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.3, weight.shape))
    return model


def projected(model: keras.Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns queries and keys, (examples, tokens, heads, size), the keys less their mean over an example."""
    attention = model.get_layer("attention")
    read = keras.Model(model.inputs, model.get_layer("trunk").output)(ops.convert_to_tensor(x))
    q, k = (ops.convert_to_numpy(part(read)) for part in (attention._query_dense, attention._key_dense))
    return q, np.repeat(k - k.mean(axis=1, keepdims=True), q.shape[2] // k.shape[2], axis=2)


def logits(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Returns the logits of all queries and all keys, by head."""
    q, k = (each.reshape(-1, *each.shape[2:]).transpose(1, 0, 2) for each in (queries, keys))
    return q @ k.transpose(0, 2, 1) / np.sqrt(queries.shape[-1])


def least_error(queries: np.ndarray, keys: np.ndarray, shared: int) -> float:
    """Returns the squared error of the best product of so few sizes, by singular values; heads that share are one."""
    q = queries.reshape(-1, HEADS // shared, shared, SIZE).transpose(1, 0, 2, 3).reshape(HEADS // shared, -1, SIZE)
    k = keys[:, :, ::shared].reshape(-1, HEADS // shared, SIZE).transpose(1, 0, 2)
    one, other = (np.linalg.qr(each, "r") for each in (q, k))  # one · otherᵀ has the singular values of Q Kᵀ
    found = np.linalg.svd(one @ other.transpose(0, 2, 1), compute_uv=False)
    return float((found[:, LEFT:] ** 2).sum()) / SIZE


def error(exact: np.ndarray, other: np.ndarray) -> float:
    return float(((exact - other) ** 2).sum())


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_as_near_as_any_product_of_so_few_sizes(kind, use_bias):
    model = model_of(kind, use_bias=use_bias)
    plan = kp.Plan({GROUPS[kind]: [0, 2, 5]})
    slim = kp.rebuild(model, plan)
    new = kp.reconstruct(slim, model, plan, DATA[:300], verbose=0)
    there = DATA[300:]
    exact, cut, now = (logits(*projected(each, there)) for each in (model, slim, new))
    least = least_error(*projected(model, there), SHARED[kind])
    assert least <= error(exact, now) * (1 + 1e-6)  # no product of so few sizes does better
    assert error(exact, now) <= 1.1 * least
    assert error(exact, now) < 0.5 * error(exact, cut)  # each to its own kept outputs changes nothing here


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_projections_read_may_be_narrower_too(kind):
    """The optimum is that of the projections as the remaining channels tell them, reduced in rank."""
    model = model_of(kind)
    trunk = list(range(0, 16, 2))
    plan = kp.Plan({GROUPS[kind]: [0, 2, 5], "trunk": trunk})
    new = kp.reconstruct(kp.rebuild(model, plan), model, plan, DATA[:300], verbose=0)
    there = DATA[300:]
    exact, now = (logits(*projected(each, there)) for each in (model, new))
    seen = keras.Model(model.inputs, model.get_layer("trunk").output)
    x, rows = (ops.convert_to_numpy(seen(ops.convert_to_tensor(each)))[..., trunk] for each in (DATA[:300], there))
    told, alone = [], []
    for whole, other in zip(projected(model, DATA[:300]), (False, True), strict=True):
        x_of = x - other * x.mean(axis=1, keepdims=True), rows - other * rows.mean(axis=1, keepdims=True)
        a, b = (np.concatenate([each, np.full((*each.shape[:2], 1), 1.0 - other)], axis=2) for each in x_of)
        solved = np.linalg.lstsq(a.reshape(-1, a.shape[2]), whole.reshape(a.shape[0] * TOKENS, -1), rcond=None)[0]
        told.append((b.reshape(-1, b.shape[2]) @ solved).reshape(*rows.shape[:2], HEADS, SIZE))
        alone.append(told[-1][..., [0, 2, 5]])
    full = logits(*told)
    best = error(exact, full) + least_error(*told, SHARED[kind])
    today = error(exact, logits(*alone) * np.sqrt(LEFT / SIZE))
    assert error(exact, now) <= 1.1 * best and error(exact, now) <= today


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="there values lose the sizes that keys lose")
@pytest.mark.parametrize("calls", [1, 2])
def test_heads_that_need_no_more_sizes_are_exact(calls):
    """Queries of rank 3 lose nothing with as many sizes, also where the layer is called twice."""
    model = model_of("heads of their own", calls)
    attention = model.get_layer("attention")
    random = np.random.default_rng(2)
    for part, low in ((attention._query_dense, random.normal(size=(LEFT, SIZE))), (attention._key_dense, np.eye(SIZE))):
        kernel = ops.convert_to_numpy(part.kernel)
        part.kernel.assign(kernel[..., :LEFT] @ low if part is attention._query_dense else kernel @ low)
        bias = ops.convert_to_numpy(part.bias)
        part.bias.assign(bias[..., :LEFT] @ low if part is attention._query_dense else bias)
    plan = kp.Plan({"attention/key_dim": [0, 4, 7]})
    slim = kp.rebuild(model, plan)
    new = kp.reconstruct(slim, model, plan, DATA[:300], verbose=0)
    expected, now, cut = (each.predict(DATA[300:], verbose=0) for each in (model, new, slim))
    np.testing.assert_allclose(now, expected, atol=1e-5 * np.abs(expected).max() * calls)
    assert np.abs(cut - expected).max() > 0.01


def test_constraints_of_the_projections_hold():
    model = model_of("heads of their own", kernel_constraint="non_neg")
    for part in (model.get_layer("attention")._query_dense, model.get_layer("attention")._key_dense):
        part.kernel.assign(ops.abs(part.kernel))
    plan = kp.Plan({"attention/key_dim": [0, 2, 5]})
    new = kp.reconstruct(kp.rebuild(model, plan), model, plan, DATA[:100], verbose=0)
    assert min(float(ops.min(part.kernel)) for part in (new.get_layer("attention")._query_dense,)) >= 0


def test_nothing_that_keys_share_counts():
    """A constant of an example in all its keys moves no weight of attention, and takes no size."""
    random = np.random.default_rng(0)
    queries, keys = random.normal(size=(200, 1, 4)), random.normal(size=(200, 1, 4))
    keys[..., 3] = 0
    examples = np.repeat(np.arange(20), 10)
    shared = np.repeat(random.normal(size=(20, 1, 4)) * [0, 0, 0, 9], 10, axis=0)
    p, r = reduce_rank(queries, less_means((keys + shared)[:, 0], examples)[:, None], 3)
    products = np.einsum("nhd,mhd->nm", queries, less_means(keys[:, 0], examples)[:, None])
    np.testing.assert_allclose(
        (queries[:, 0] @ p[0]) @ (less_means(keys[:, 0], examples) @ r[0]).T, products, atol=1e-9
    )


def test_directions_that_nothing_lies_in_are_left_out():
    p, r = reduce_rank(np.zeros((5, 2, 4)), np.zeros((5, 1, 4)), 2)
    assert p.shape == (2, 4, 2) and r.shape == (1, 4, 2) and not p.any() and not r.any()
    single = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    np.testing.assert_allclose(less_means(single, np.arange(6)), single - single.mean(axis=0), atol=1e-6)
