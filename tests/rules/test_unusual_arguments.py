"""Arguments that change what happens to channels: each of these models once came out wrong without a word."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan

ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")


def exact(model):
    """Checks a model that is frozen where it must be: copy, mask and slim model, without and with folded constants."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if any(word in weight.name for word in ("gamma", "variance")) else -0.7
        weight.assign(generator.uniform(low, low + 1.4, weight.shape))
    inputs = random_inputs(model, 5, 1)
    graph = kp.trace(model, unknown="freeze")
    assert compare(model, kp.rebuild(model, kp.Plan({})), inputs).error < 1e-6
    for seed in range(2):
        plan = random_plan(graph, seed)
        assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), inputs).error < 1e-5
        found = kp.verify(model, kp.rebuild(model, plan), plan, inputs, reload=False)
        assert found.passed, str(found)
    return graph


def image(middle):
    inputs = keras.Input((6, 6, 3))
    x = middle(layers.Conv2D(8, 3, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x)))


def sequence(middle, channels=12):
    inputs = keras.Input((5, 4))
    x = middle(layers.Dense(channels, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x)))


SPACE = ((0, 0), (1, 1), (1, 1), (0, 0))
CHANNELS = ((0, 0), (0, 0), (0, 0), (2, 3))


@pytest.mark.parametrize(
    ("middle", "prunable"),
    [
        (lambda x: ops.pad(x, CHANNELS, mode="reflect"), False),
        (lambda x: ops.pad(x, CHANNELS), True),
        (lambda x: ops.pad(x, CHANNELS, constant_values=0.7), False),
        (lambda x: ops.pad(x, SPACE, mode="symmetric"), True),
        (lambda x: ops.pad(x, SPACE, constant_values=0.7), False),
        (lambda x: layers.Activation(ops.softmax)(x), False),
        (lambda x: layers.Activation(partial(ops.leaky_relu, negative_slope=0.3))(x), True),
        (lambda x: layers.Activation(partial(ops.cumsum, axis=-1))(x), False),
        (lambda x: layers.GroupNormalization(2, axis=1)(x), False),
        (lambda x: layers.GroupNormalization(-1)(x), True),
        (lambda x: ops.reshape(layers.Dense(5)(ops.reshape(x, (-1, 8))), (-1, 4, 4, 5)), True),
        (lambda x: ops.reshape(ops.max(ops.reshape(x, (-1, 4)), axis=1), (-1, 32)), False),
        (lambda x: ops.softmax(x, axis=0), False),
        (lambda x: ops.clip(x, -np.ones(8, "float32"), np.linspace(0.1, 1, 8).astype("float32")), False),
        (lambda x: layers.BatchNormalization()(x, training=True), False),
        (lambda x: layers.Conv2DTranspose(5, 1, 2)(layers.ReLU()(x)), True),
        (lambda x: ops.subtract(x2=x, x1=np.ones(8, "float32")), True),
        (lambda x: ops.concatenate([x[..., 4:], x[..., :4]], axis=-1), True),
    ],
)
def test_of_images(middle, prunable):
    graph = exact(image(middle))
    assert graph.groups["first"].prunable == prunable, graph.groups["first"].reason


@pytest.mark.parametrize(
    "middle",
    [
        lambda x: layers.LSTM(6, recurrent_activation="softmax")(x),
        lambda x: layers.GRU(6, activation=ops.softmax)(x),
        lambda x: layers.SimpleRNN(6, activation="sigmoid")(x),
        lambda x: layers.Bidirectional(layers.LSTM(6, activation="softmax"))(x),
        lambda x: layers.TimeDistributed(layers.BatchNormalization())(x),
        lambda x: layers.TimeDistributed(layers.PReLU())(x),
        lambda x: layers.TimeDistributed(layers.Reshape((3, 4)))(x),
        lambda x: layers.TimeDistributed(layers.Dense(5, activation=ops.softmax))(x),
        lambda x: layers.EinsumDense("abc,cde->abde", (5, 3, 7), bias_axes="d")(x),
        lambda x: layers.EinsumDense("abc,cde->abde", (5, 3, 7), bias_axes="e", activation="softmax")(x),
        lambda x: layers.MultiHeadAttention(3, 4, output_shape=(2, 3))(x, x),
        lambda x: layers.MultiHeadAttention(3, 4)(value=x, query=x),
        lambda x: layers.MultiHeadAttention(3, 4)(x, x, attention_mask=np.random.rand(1, 3, 5, 5) > 0.4),
        lambda x: layers.MultiHeadAttention(3, 4)(x, x, return_attention_scores=True)[1],
        lambda x: layers.GroupQueryAttention(4, 4, 2)(x, x, return_attention_scores=True)[1],
    ],
)
def test_of_sequences(middle):
    exact(sequence(middle))


def test_the_states_of_a_stateful_layer_come_along():
    inputs = keras.Input(batch_shape=(5, 5, 4))
    model = keras.Model(inputs, layers.Dense(3)(layers.LSTM(6, stateful=True, name="units")(inputs)))
    batch = np.random.default_rng(0).normal(size=(5, 5, 4)).astype("float32")
    model(batch)
    assert compare(model, kp.rebuild(model, kp.Plan({})), batch).error < 1e-6
    plan = random_plan(kp.trace(model))
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), batch).error < 1e-5


def test_trainable_flags_of_nested_models_stay():
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="still"), layers.Dense(8, name="moves")])
    inner.get_layer("still").trainable = False
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(3)(inner(layers.Dense(8)(inputs))))
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    assert [w.trainable for w in slim.weights] == [w.trainable for w in model.weights]
    model.trainable = False
    assert not kp.rebuild(model, kp.plan(model, keep=0.5)).trainable_weights


class Forgetful(layers.Layer):
    """A layer of a user whose config leaves an argument out, and that is given a table later."""

    table = None

    def __init__(self, factor=1.0, **more):
        super().__init__(**more)
        self.factor = factor

    def call(self, x):
        return x * self.factor * self.table

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {"name": self.name}


def test_what_a_config_forgets_is_taken_from_the_layer():
    layer = Forgetful(3.0)
    layer.table = np.linspace(1, 2, 12).astype("float32")
    graph = exact(sequence(layer))
    assert [each.name for each in graph.unknown] == [layer.name]


@ON_TENSORFLOW
@pytest.mark.parametrize("change", [lambda inner: inner.enable_lora(2), lambda inner: inner.quantize("int8")])
def test_layers_inside_others_that_were_changed_later_stay(change):
    inner = layers.Dense(6)
    model = sequence(layers.TimeDistributed(inner))
    change(inner)
    with pytest.raises(kp.PruneError, match="on the slim model"):
        kp.trace(model)
    assert not kp.trace(model, unknown="freeze").groups["first"].prunable


@pytest.mark.parametrize("layer", [layers.Conv2D(6, 3, activation=layers.PReLU()), layers.Activation(layers.PReLU())])
def test_layers_used_as_functions(layer):
    model = image(layer)
    model(random_inputs(model))  # Keras builds the layer inside now
    exact(model)
