"""Code that asks for sizes which are free: written out with operations that take any, and equal at several lengths."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp


class Code(layers.Layer):
    """A layer of one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def get_config(self):
        return {"function": self.function}

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x):
        return self.function(x)


def positions(x):
    """Where each row is."""
    return x + ops.expand_dims(ops.arange(ops.shape(x)[1], dtype="float32"), 1)


def wide_positions(x):
    """The same for every channel."""
    _, length, channels = ops.shape(x)
    return x + ops.broadcast_to(ops.expand_dims(ops.arange(length, dtype="float32"), 1), (length, channels))


def causal(x):
    """Means of the rows so far."""
    batch, length, _ = ops.shape(x)
    rows = ops.arange(length)
    before = ops.cast(ops.expand_dims(rows, 1) >= ops.expand_dims(rows, 0), x.dtype)
    before = ops.broadcast_to(ops.expand_dims(before, 0), (batch, length, length))
    return ops.matmul(before / ops.sum(before, axis=-1, keepdims=True), x)


def heads(x):
    batch, length, channels = ops.shape(x)
    parts = ops.transpose(ops.reshape(x, (batch, length, 2, channels // 2)), (0, 2, 1, 3))
    return ops.reshape(ops.transpose(ops.tanh(parts), (0, 2, 1, 3)), (batch, length, channels))


def class_token(x):
    batch = ops.shape(x)[0]
    return ops.concatenate([ops.tile(ops.ones((1, 1, 8)), (batch, 1, 1)), ops.zeros((batch, 2, 8)), x], axis=1)


def filled(x):
    batch, length, _ = ops.shape(x)
    return x + ops.full((batch, length, 8), 3.0) * ops.ones((1, length, 1)) + ops.zeros((batch, length, 8))


def repeated(x):
    length = ops.shape(x)[1]
    return x + ops.repeat(ops.mean(x, axis=1, keepdims=True), length, axis=1)


def table_rows(x):
    length = ops.shape(x)[1]
    table = ops.reshape(ops.arange(64 * 8, dtype="float32") / 100, (64, 8))
    return x + ops.slice(table, (0, 0), (length, 8)) + ops.convert_to_tensor(x)


def halves(x):
    """Sizes that a convolution makes."""
    length = ops.shape(x)[1]
    return x + ops.cast(ops.expand_dims(ops.arange(length), 1), "float32")


def model_of(function, first=None):
    rows = keras.Input((None, 6), name="rows")
    x = layers.Dense(8, name="first")(rows) if first is None else first(rows)
    x = Code(function)(x)
    return keras.Model(rows, layers.Dense(3, name="logits")(layers.GlobalAveragePooling1D()(x)))


def check(model, plain):
    for length in (1, 5, 9, 20):
        batch = np.random.default_rng(length).normal(size=(3, length, 6)).astype("float32")
        np.testing.assert_allclose(plain(batch), model(batch), rtol=1e-4, atol=1e-5, err_msg=f"{length} rows")


PRUNABLE = (positions, causal, heads, repeated)
WHOLE = (wide_positions, class_token, filled, table_rows)  # numbers for each channel meet the channels


@pytest.mark.matrix
@pytest.mark.parametrize("function", [*PRUNABLE, *WHOLE], ids=lambda f: f.__name__)
def test_code_with_free_sizes_is_written_out(function, recwarn):
    model = model_of(function)
    plain = kp.functional(model)
    assert not [each for each in recwarn if "Not written out" in str(each.message)]
    check(model, plain)
    graph = kp.trace(plain)
    plan = kp.plan(graph, keep=0.5) if function in PRUNABLE else kp.Plan({})
    assert bool(graph.prunable) == (function in PRUNABLE)
    alone = function in (causal, class_token)  # another process takes seconds to begin
    assert kp.verify(plain, kp.rebuild(plain, plan), plan, reload=alone).passed


def test_a_size_that_a_convolution_makes():
    model = model_of(halves, layers.Conv1D(12, 3, strides=2, padding="same", name="first"))
    plain = kp.functional(model)
    check(model, plain)
    assert kp.verify(plain, kp.rebuild(plain, kp.Plan({})), kp.Plan({}), reload=False).passed


def test_inputs_of_different_lengths_stay_apart():
    """The numbers that stand for the two lengths must not be taken for one another."""
    left, right = keras.Input((None, 4), name="left"), keras.Input((None, 4), name="right")
    counted = [layers.GlobalAveragePooling1D()(Code(positions)(layers.Dense(8)(x))) for x in (left, right)]
    model = keras.Model([left, right], layers.Dense(2)(layers.Concatenate()(counted)))
    plain = kp.functional(model)
    batch = [np.random.default_rng(n).normal(size=(2, n, 4)).astype("float32") for n in (5, 12)]
    np.testing.assert_allclose(plain(batch), model(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: ops.concatenate([x[:, i : i + 1] for i in range(ops.shape(x)[1])], axis=1), "TypeError"),
        (lambda x: x + ops.cast(ops.arange(2, ops.shape(x)[1] + 2)[:, None], x.dtype), "begins elsewhere"),
        (lambda x: x[:, : ops.shape(x)[1] // 2], "another free size"),
    ],
)
def test_what_needs_a_number_stays_a_layer(function, reason):
    model = model_of(function)
    with pytest.warns(UserWarning, match=f"'code.*{reason}"):
        plain = kp.functional(model)
    assert "Code" in [type(each).__name__ for each in plain.layers]
    batch = np.random.default_rng(0).normal(size=(3, 8, 6)).astype("float32")
    np.testing.assert_allclose(plain(batch), model(batch), rtol=1e-4, atol=1e-5)


def test_operations_are_as_before_afterwards():
    before = [getattr(ops, name) for name in ("shape", "arange", "reshape", "take")]
    with pytest.warns(UserWarning):
        kp.functional(model_of(lambda x: x if ops.sum(x) > 0 else -x))
    assert before == [getattr(ops, name) for name in ("shape", "arange", "reshape", "take")]
    assert ops.shape(keras.KerasTensor((None, 3))) == (None, 3)


class LikeSkip(layers.Layer):
    """Resizes an image to the sides of another, or to twice its own."""

    def __init__(self, twice, **how):
        super().__init__()
        self.twice, self.how = twice, how

    def compute_output_shape(self, x_shape, skip_shape):
        return (*skip_shape[:3], x_shape[3])

    def call(self, x, skip):
        _, height, width, _ = ops.shape(x)
        return ops.image.resize(x, (2 * height, 2 * width) if self.twice else ops.shape(skip)[1:3], **self.how)


def decoder(side, resized, stride=3):
    inputs = keras.Input((side, side, 3))
    skip = layers.Conv2D(8, 3, padding="same", name="skip")(inputs)
    deep = layers.Conv2D(8, 3, strides=stride, padding="same", name="deep")(skip)
    return keras.Model(inputs, layers.Conv2D(2, 1)(layers.Concatenate()([resized(deep, skip), skip])))


@pytest.mark.parametrize("how", ["bilinear", pytest.param("nearest", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("side", [None, pytest.param(12, marks=pytest.mark.thorough)])
def test_an_image_is_resized_to_the_sides_of_another(side, how):
    keras.utils.set_random_seed(0)
    model = decoder(side, LikeSkip(False, interpolation=how))
    plain = kp.functional(model)
    assert not any(isinstance(layer, LikeSkip) for layer in plain.layers)
    graph = kp.trace(plain, size=12)
    assert graph.groups["skip"].prunable and graph.groups["deep"].prunable
    plan = kp.plan(graph, keep=0.5)
    slim = kp.rebuild(graph, plan)
    for sides in ((12, 12),) if side else ((11, 17), (2, 1), (24, 13)):
        images = np.random.default_rng(0).normal(size=(2, *sides, 3)).astype("float32")
        np.testing.assert_allclose(plain(images), model(images), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(slim(images), kp.mask(graph, plan, silence="weights")(images), rtol=1e-4, atol=1e-5)


def test_an_image_is_resized_to_twice_its_sides():
    model = decoder(None, LikeSkip(True), stride=2)
    images = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype("float32")
    plain = kp.functional(model)
    assert not any(isinstance(layer, LikeSkip) for layer in plain.layers)
    np.testing.assert_allclose(plain(images), model(images), rtol=1e-4, atol=1e-5)


def test_a_way_to_resize_that_cannot_be_written_out_stays_a_layer():
    with pytest.warns(UserWarning, match="neither nearest nor bilinear"):
        kp.functional(decoder(None, LikeSkip(False, interpolation="bicubic")))
