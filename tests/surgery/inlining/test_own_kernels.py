"""Products with a layer's own weights, as in attention pooling: dense layers, whose channels are pruned."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp

STEPS, WIDE, INNER = 5, 8, 6


class Pooling(layers.Layer):
    """The mean over time, weighted by the softmax of a score of the layer's own weights."""

    def __init__(self, score, shapes, **how):
        super().__init__(**how)
        self.score, self.shapes = score, shapes

    def build(self, _):
        for name, shape in self.shapes.items():
            setattr(self, name, self.add_weight(shape=shape, name=name, initializer="glorot_uniform"))

    def call(self, x):
        return ops.sum(x * ops.softmax(ops.reshape(self.score(self, x), (-1, STEPS, 1)), axis=1), axis=1)


C, U = WIDE, INNER
SCORES = {
    "operator": (lambda own, x: x @ own.w, {"w": (C, 1)}),
    "vector": (lambda own, x: ops.matmul(x, own.w), {"w": (C,)}),
    "tensordot": (
        lambda own, x: ops.tensordot(ops.tanh(ops.tensordot(x, own.w, axes=1) + own.b), own.u, axes=1),
        {"w": (C, U), "b": (U,), "u": (U,)},
    ),
    "dot": (
        lambda own, x: ops.dot(ops.tanh(ops.dot(x, own.w)), ops.expand_dims(own.u, -1)),
        {"w": (C, U), "u": (U,)},
    ),
    "einsum": (
        lambda own, x: ops.einsum("...u,u", ops.tanh(ops.einsum("btc,uc->btu", x, own.w)), own.u),
        {"w": (U, C), "u": (U,)},
    ),
    "transposed": (lambda own, x: ops.tanh(x @ ops.transpose(own.w)) @ own.u, {"w": (U, C), "u": (U, 1)}),
    "left": (
        lambda own, x: own.u @ ops.tanh(ops.matmul(own.w, ops.transpose(x, (0, 2, 1)))),
        {"w": (U, C), "u": (1, U)},
    ),
    "repeated for the batch": (
        lambda own, x: ops.transpose(own.u)[None] @ ops.tanh(ops.expand_dims(own.w, 0) @ ops.transpose(x, (0, 2, 1))),
        {"w": (U, C), "u": (U, 1)},
    ),
    "gated": (
        lambda own, x: (ops.tanh(x @ own.v) * ops.sigmoid(x @ own.w)) @ own.u,
        {"v": (C, U), "w": (C, U), "u": (U, 1)},
    ),
    "two axes": (
        lambda own, x: ops.tensordot(ops.reshape(x @ own.w, (-1, STEPS, 2, 3)), own.u, axes=2),
        {"w": (C, U), "u": (2, 3)},
    ),
    "additive": (
        lambda own, x: ops.tanh(x @ own.w + ops.expand_dims(x[:, -1] @ own.v, 1)) @ own.u,
        {"v": (C, U), "w": (C, U), "u": (U, 1)},
    ),
}
DEFAULT = ("operator", "tensordot", "left")


def pooling(name, dtype=None):
    """Returns a model whose group "before" is read by a product with a layer's own weight alone."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((STEPS, 3))
    x = layers.Dense(WIDE, "tanh", name="before")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="after")(Pooling(*SCORES[name], name="pool", dtype=dtype)(x)))


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in DEFAULT else pytest.mark.thorough) for each in SCORES]
)
def test_weights_that_channels_are_multiplied_by_are_dense_layers(name):
    model = pooling(name)
    plain = kp.functional(model)
    assert plain.count_params() == model.count_params()
    graph = kp.trace(plain)
    assert graph.groups["before"].prunable
    plan = kp.plan(graph, keep=0.5)
    slim = kp.rebuild(plain, plan)
    assert kp.verify(plain, slim, plan, reload=name == "gated").passed  # a process of its own loads the file
    assert WIDE not in slim.get_layer("pool_w").kernel.shape  # it reads channels that are left


def test_the_macs_are_those_of_dense_layers():
    plain = kp.functional(pooling("tensordot"))
    assert kp.cost(plain).macs == STEPS * (3 * WIDE + WIDE * INNER + INNER) + WIDE * 2
    assert kp.cost(plain).products == 0


def test_the_slim_weights_are_solved_by_least_squares():
    plain = kp.functional(pooling("gated"))
    x = np.random.default_rng(0).normal(size=(200, STEPS, 3)).astype("float32")
    plan = kp.Plan({"before": list(range(4))})
    slim = kp.rebuild(plain, plan)
    solved = kp.reconstruct(slim, plain, plan, x)
    before, after = (ops.convert_to_numpy(each.get_layer("pool_w").kernel) for each in (slim, solved))
    assert np.abs(after - before).max() > 1e-3
    expected, before, after = (ops.convert_to_numpy(each(x)) for each in (plain, slim, solved))
    assert np.square(after - expected).mean() < np.square(before - expected).mean() / 2


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_layer_that_computes_in_half_precision(policy):
    plain = kp.functional(pooling("gated", dtype=policy))
    assert plain.get_layer("pool_w").compute_dtype == policy.removeprefix("mixed_")
    assert kp.trace(plain).groups["before"].prunable


class Tied(layers.Layer):
    """Reads one weight in two ways: from channels to words, and back."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4), name="w")

    def call(self, x):
        return ops.softmax(x @ self.w) @ ops.transpose(self.w)


class Twice(layers.Layer):
    """Reads one weight twice in the same way."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4), name="w", trainable=False, regularizer="l2")

    def call(self, x):
        return x @ self.w + ops.tanh((2 * x) @ self.w)


@pytest.mark.parametrize(("layer", "prunable"), [(Tied, False), (Twice, True)])
def test_a_weight_that_is_read_twice_stays_one(layer, prunable):
    inputs = keras.Input((STEPS, 3))
    x = layer(name="own")(layers.Dense(WIDE, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    plain = kp.functional(model)
    assert plain.count_params() == model.count_params()
    assert len(plain.trainable_weights) == len(model.trainable_weights)
    assert len(plain.losses) == len(model.losses)
    assert kp.trace(plain).groups["before"].prunable == prunable


def test_a_product_passes_no_mask_on():
    class Product(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 4), name="w")

        def call(self, x):
            return x @ self.w

    inputs = keras.Input((STEPS, 3))
    with pytest.warns(UserWarning, match="does not support masking"):
        x = Product()(layers.LSTM(WIDE, return_sequences=True)(layers.Masking()(inputs)))
        model = keras.Model(inputs, layers.LSTM(4)(x))
    batch = np.random.default_rng(0).normal(size=(2, STEPS, 3)).astype("float32")
    batch[:, 3:] = 0
    np.testing.assert_allclose(kp.functional(model)(batch), model(batch), atol=1e-6)


def test_channels_that_a_weight_over_time_carries_along_stay_separate():
    class OverTime(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[1], 4), name="w")

        def call(self, x):
            return ops.transpose(ops.transpose(x, (0, 2, 1)) @ self.w, (0, 2, 1))

    inputs = keras.Input((STEPS, 3))
    x = OverTime()(layers.Dense(WIDE, name="before")(inputs))
    plain = kp.functional(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))))
    assert kp.trace(plain).groups["before"].prunable
