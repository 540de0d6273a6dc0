"""Layers as programs on JAX: each computes what it does by itself, and only layers that compute the same share one."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasprune._keras import mask_of
from kerasprune.backend.engine import layer_programs

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX compiles operations one by one")
IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 4)).astype("float32")
TEXTS = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")


def drawn(layer):
    """The layer with drawn variables, so that no two are alike."""
    generator = np.random.default_rng(len(layer.name))
    for variable in layer.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(generator.uniform(0.2, 1.0, variable.shape))
    return layer


def alone(layer, *inputs, **how):
    return ops.convert_to_numpy(layer(*inputs, **how))


def in_programs(layer, *inputs, **how):
    with layer_programs():
        return ops.convert_to_numpy(layer(*inputs, **how))


@pytest.fixture
def compiled(caplog):
    """Returns a function: how many programs JAX has compiled since it was called last."""
    import jax

    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):

        def count():
            number = sum(record.getMessage().startswith("Compiling") for record in caplog.records)
            caplog.clear()
            return number

        yield count


MADE = {
    "convolution": (lambda: layers.Conv2D(5, 3, strides=2, padding="same", activation="relu"), IMAGES),
    "depthwise": (lambda: layers.DepthwiseConv2D(3), IMAGES),
    "transposed": (lambda: layers.Conv2DTranspose(3, 3, strides=2), IMAGES),
    "dense": (lambda: layers.Dense(5, "gelu"), TEXTS),
    "batch": (lambda: layers.BatchNormalization(), IMAGES),
    "layer": (lambda: layers.LayerNormalization(), TEXTS),
    "group": (lambda: layers.GroupNormalization(2), IMAGES),
    "pooling": (lambda: layers.AveragePooling2D(2, padding="same"), IMAGES),
    "global": (lambda: layers.GlobalAveragePooling2D(), IMAGES),
    "softmax": (lambda: layers.Activation("softmax"), TEXTS),
    "own": (lambda: layers.Dense(5, lambda x: x * 3), TEXTS),
    "recurrent": (lambda: layers.LSTM(5), TEXTS),
    "half": (lambda: layers.Dense(5, dtype="mixed_bfloat16"), TEXTS),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_layer_computes_what_it_does_by_itself(kind):
    make, inputs = MADE[kind]
    layer = make()
    layer.build(inputs.shape)
    wanted = alone(drawn(layer), inputs)
    before = [ops.convert_to_numpy(each) for each in layer.variables]
    np.testing.assert_allclose(
        in_programs(layer, inputs).astype("float32"), wanted.astype("float32"), rtol=2e-5, atol=2e-5
    )
    assert all(map(np.array_equal, before, [ops.convert_to_numpy(each) for each in layer.variables]))


def test_masks_come_through():
    words = np.array([[1, 2, 0], [3, 0, 0]])
    embedding = layers.Embedding(9, 4, mask_zero=True)
    pooling, attention = layers.GlobalAveragePooling1D(), layers.MultiHeadAttention(2, 4)
    for layer, number in ((pooling, 1), (attention, 2)):
        layer.build(*[(2, 3, 4)] * number)
        first, second = ([embedding(words)] * number for _ in range(2))  # an attention takes the masks off
        np.testing.assert_allclose(in_programs(layer, *first), alone(layer, *second), atol=1e-6)
    with layer_programs():
        masked = layers.Dense(3)(embedding(words))
    assert ops.convert_to_numpy(mask_of(masked)).tolist() == (words > 0).tolist()


def test_layers_of_equal_settings_share_a_program_and_keep_their_weights(compiled):
    first, second = (layers.BatchNormalization(epsilon=0.0123, name=name) for name in ("a", "of_another_name"))
    for each in (first, second):
        each.build(IMAGES.shape)
        drawn(each)
    wanted = [alone(each, IMAGES) for each in (first, second)]
    compiled()
    made = [in_programs(each, IMAGES) for each in (first, second)]
    assert compiled() == 1 and np.abs(made[0] - made[1]).max() > 0.01
    np.testing.assert_allclose(made, wanted, atol=2e-5)


def test_what_is_changed_in_a_layer_changes_what_its_program_computes():
    layer = layers.Dense(5, "relu")
    layer.build(TEXTS.shape)
    in_programs(drawn(layer), -abs(TEXTS))
    layer.activation = keras.activations.tanh
    np.testing.assert_allclose(in_programs(layer, -abs(TEXTS)), alone(layer, -abs(TEXTS)), atol=1e-6)
    assert in_programs(layer, -abs(TEXTS)).min() < 0


@pytest.mark.parametrize(
    "code", ["lambda x: factor * x", "type('Own', (), {'times': lambda self, x: factor * x})().times"]
)
def test_functions_of_the_same_name_and_code_are_not_one(code):
    doubled, tripled = (layers.Activation(eval(code, {"factor": factor})) for factor in (2, 3))
    assert in_programs(doubled, TEXTS).sum() * 1.5 == pytest.approx(in_programs(tripled, TEXTS).sum(), rel=1e-5)


def test_training_and_programs_around_are_left_alone():
    import jax

    norm = layers.BatchNormalization(momentum=0.5)
    norm.build(IMAGES.shape)
    in_programs(norm, IMAGES, training=True)
    assert ops.convert_to_numpy(norm.moving_mean).any()
    with layer_programs():
        gradient = jax.grad(lambda x: layers.ReLU()(x).sum())(TEXTS)
    assert ops.convert_to_numpy(gradient).tolist() == (TEXTS > 0).astype(float).tolist()
