"""Constants of removed channels that come to nothing: nothing is folded, and nothing is called lost."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.cut import Cut
from kerasprune.testing import check_rebuild, randomise


@pytest.mark.matrix
@pytest.mark.parametrize(
    "after",
    [
        lambda x: layers.Flatten()(x),
        lambda x: layers.Reshape((5, 1, 8))(x),
        lambda x: layers.Permute((2, 1))(x),
        lambda x: ops.tanh(x),
        lambda x: layers.Add()([x, x]),
        lambda x: layers.GlobalMaxPooling1D()(x),
        lambda x: layers.Flatten()(layers.ZeroPadding1D(1)(x)),
        lambda x: ops.sum(x, axis=1),
    ],
)
def test_what_a_norm_over_channels_stops_stays_nothing(after):
    inputs = keras.Input((5, 4))
    x = layers.LayerNormalization()(layers.Dense(8, name="a")(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="b")(layers.Flatten()(after(x)))))
    plan = kp.Plan({"a": [1, 2, 5]})
    folded = fold(Cut.of(model, plan))
    assert not folded.biases and not folded.lost and not folded.padded
    check_rebuild(model, plan)


@pytest.mark.parametrize(
    "shape, maker",
    [
        ((5,), lambda x: layers.Embedding(40, 8, name="a")(x)),
        ((5, 4), lambda x: layers.LSTM(8, return_sequences=True, name="a")(x)),
        ((5, 4), lambda x: layers.GRU(8, return_sequences=True, name="a")(x)),
        ((5, 4), lambda x: layers.SimpleRNN(8, return_sequences=True, name="a")(x)),
        ((3, 4, 4, 2), lambda x: layers.ConvLSTM2D(8, 2, name="a")(x)),
        ((5, 4), lambda x: layers.RMSNormalization()(layers.Dense(8, name="a")(x))),
        ((5, 4), lambda x: layers.GroupNormalization(-1)(layers.Dense(8, name="a")(x))),
        ((5, 4), lambda x: layers.UnitNormalization(axis=1)(layers.Dense(8, use_bias=False, name="a")(x))),
    ],
)
def test_who_says_nothing_leaves_nothing(shape, maker):
    inputs = keras.Input(shape, dtype="int32" if len(shape) == 1 else "float32")
    x = layers.Flatten()(maker(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="b")(x)))
    graph = kp.trace(model)
    plan = kp.Plan({"a": [1, 2, 5]} if graph.groups["a"].prunable else {})
    folded = fold(Cut.of(model, plan))
    assert not folded.biases and not folded.lost and not folded.padded


@pytest.mark.parametrize(
    "maker",
    [
        lambda x: layers.EinsumDense("abc,bd->adc", (8, 4), bias_axes="c", name="a")(x),
        lambda x: layers.EinsumDense("abc,bd->adc", (8, 4), activation="sigmoid", name="a")(x),
        lambda x: layers.LayerNormalization()(layers.Permute((2, 1))(layers.Dense(8, name="a")(x))),
    ],
    ids=["a bias along another axis", "an activation that is not zero at zero", "a norm along another axis"],
)
def test_what_is_emitted_along_another_axis_is_called_lost(maker):
    inputs = keras.Input((5, 4))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="b")(layers.Flatten()(maker(inputs)))))
    plan = kp.Plan({"a": [1, 2, 5]})
    assert fold(Cut.of(model, plan)).lost == ["b"]
    check_rebuild(model, plan)


@pytest.mark.parametrize("bias_axes", [None, "d", "dc"])
def test_an_einsum_whose_bias_runs_along_its_channels_is_silent(bias_axes):
    inputs = keras.Input((5, 4))
    x = layers.EinsumDense("abc,bd->adc", (8, 4), bias_axes=bias_axes, name="a")(inputs)
    model = randomise(keras.Model(inputs, layers.Dense(3, name="b")(layers.Flatten()(x))))
    assert not fold(Cut.of(model, kp.Plan({"a": [1, 2, 5]}))).lost


def test_what_a_border_of_another_value_surrounds_is_called_lost():
    inputs = keras.Input((6, 8, 3))
    x = layers.Conv2D(4, 1, bias_initializer="ones", name="a")(inputs)
    x = layers.Resizing(5, 5, pad_to_aspect_ratio=True, fill_value=2.0)(x)
    model = keras.Model(inputs, layers.Conv2D(2, 2, name="b")(x))
    assert fold(Cut.of(model, kp.Plan({"a": [0, 1]}))).lost == ["b"]


def _weights(x, axis=-1):
    scores = ops.matmul(layers.Dense(4)(x), ops.transpose(layers.Dense(4)(x), (0, 2, 1)))
    return ops.softmax(scores, axis=axis)


def _heads(x, name):
    return layers.Reshape((5, 2, 4))(layers.Dense(8, name=name)(x))


@pytest.mark.matrix
@pytest.mark.parametrize(
    "attend, exact",
    [
        (lambda x, v: ops.matmul(_weights(x), v), True),
        (lambda x, v: ops.matmul(layers.Dropout(0.3)(layers.Softmax()(layers.Dense(5)(x))), v), True),
        (lambda x, v: ops.matmul(layers.Activation("softmax")(layers.Dense(5)(x)), v), True),
        (lambda x, v: ops.einsum("bij,bjk->bik", _weights(x), v), True),
        (lambda x, v: ops.einsum("bjk,bij->bki", v, _weights(x)), True),
        (lambda x, v: ops.einsum("bji,bjk->bik", _weights(x, axis=1), v), True),
        (lambda x, v: ops.matmul(_weights(x, axis=1), v), False),  # columns sum to one, rows do not
        (lambda x, v: ops.einsum("bij,bjk->bk", _weights(x), v), False),
        (lambda x, v: ops.matmul(ops.sigmoid(layers.Dense(5)(x)), v), False),
    ],
)
def test_a_mean_over_positions_passes_what_is_the_same_at_all(attend, exact):
    """Rows of a softmax sum to one, so the bias of a value that goes is folded; other products are called lost."""
    inputs = keras.Input((5, 4))
    x = layers.Flatten()(attend(inputs, layers.Dense(8, name="a")(inputs)))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="b")(x)))
    plan = kp.Plan({"a": [1, 2, 5]})
    folded = fold(Cut.of(model, plan))
    assert bool(folded.biases) == exact and folded.lost == ([] if exact else ["b"])
    check_rebuild(model, plan)
    images = np.random.default_rng(0).normal(size=(6, 5, 4)).astype("float32")
    slim, masked = kp.rebuild(model, plan), kp.mask(model, plan, silence="weights")
    close = np.allclose(slim.predict(images, verbose=0), masked.predict(images, verbose=0), rtol=1e-4, atol=1e-5)
    assert close == exact


def test_whole_heads_of_attention_leave_their_mean():
    inputs = keras.Input((5, 4))
    query, key, value = (_heads(inputs, name) for name in "qkv")
    x = layers.Reshape((5, 8))(ops.dot_product_attention(query, key, value))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="b")(x)))
    graph = kp.trace(model)
    plan = kp.Plan({name: [0] if group.size == 2 else range(4) for name, group in graph.prunable.items()})
    check_rebuild(model, plan)
    assert not fold(Cut.of(model, plan)).lost
