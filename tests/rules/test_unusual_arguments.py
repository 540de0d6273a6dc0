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


@pytest.mark.matrix
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
        (lambda x: layers.MaxPooling2D(2)(layers.Permute((3, 1, 2))(x)), False),
        (lambda x: layers.UpSampling2D((2, 1))(layers.Permute((1, 3, 2))(x)), False),
        (lambda x: layers.Cropping2D(1)(layers.Permute((3, 1, 2))(x)), False),
        (lambda x: layers.GlobalAveragePooling2D()(layers.Permute((3, 1, 2))(x)), False),
    ],
)
def test_of_images(middle, prunable):
    graph = exact(image(middle))
    assert graph.groups["first"].prunable == prunable, graph.groups["first"].reason


@pytest.mark.matrix
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


@pytest.mark.parametrize("heads, goes", [(4, True), (2, False)])
def test_query_heads_that_share_a_key_head_stay(heads, goes):
    """Of 4 query heads the first two read the first of 2 key heads; of 2 that are left each would read its own."""

    def middle(x):
        query, key, value = (
            ops.reshape(layers.Dense(2 * number, name=name)(x), (-1, 5, number, 2))
            for name, number in (("query", 4), ("key", heads), ("value", heads))
        )
        return ops.reshape(ops.dot_product_attention(query, key, value), (-1, 5, 8))

    graph = exact(sequence(middle))
    groups = [group for group in graph.groups.values() if {"query", "key"} & set(group.layers)]
    assert [group.prunable for group in groups] == ([True] if goes else [False, False])


def test_query_heads_beside_a_single_key_head_go_one_by_one():
    query, shared = keras.Input((5, 6)), keras.Input((5, 1, 2))
    heads = ops.reshape(layers.Dense(8, name="query")(query), (-1, 5, 4, 2))
    attended = ops.reshape(ops.dot_product_attention(heads, shared, shared), (-1, 5, 8))
    graph = kp.trace(keras.Model([query, shared], layers.Dense(3)(layers.Flatten()(attended))))
    assert graph.groups["query"].prunable and graph.groups["query"].size == 4


@pytest.mark.thorough
@pytest.mark.parametrize("make, states", [(layers.LSTM, 2), (layers.GRU, 1), (layers.SimpleRNN, 1)])
def test_states_that_are_given_are_as_wide_as_the_units(make, states):
    """A decoder that begins where an encoder has ended: what makes a state loses what the units lose."""

    def middle(x):
        given = [layers.Dense(6, name=f"state{n}")(x[:, n]) for n in range(states)]
        return make(6, name="units")(x, initial_state=given)

    graph = exact(sequence(middle))
    (group,) = [group for group in graph.groups.values() if "units" in group.layers]
    assert group.prunable and group.size == 6
    assert {"units", *(f"state{n}" for n in range(states))} <= set(group.layers)


@pytest.mark.matrix
@pytest.mark.parametrize("first", ["made", "mixed"])
@pytest.mark.parametrize("inside", ["constant", "activation"])
def test_a_nested_model_that_gets_channels_and_others(first, inside):
    """One config and one constant for both calls: what cannot shrink in one stays in the other."""
    inner_input = keras.Input((4, 4, 6))
    factors = np.linspace(0.5, 2, 6, dtype="float32")
    inner = keras.Model(inner_input, ops.tanh(inner_input * factors if inside == "constant" else inner_input))
    inputs = keras.Input((4, 4, 3))
    made = layers.Conv2D(6, 1, name="made")(inputs)
    mixed = ops.matmul(inputs, np.linspace(-1, 1, 18, dtype="float32").reshape(3, 6))
    ends = [layers.Flatten()(inner(x)) for x in ((made, mixed) if first == "made" else (mixed, made))]
    graph = exact(keras.Model(inputs, layers.Add()([layers.Dense(3)(end) for end in ends])))
    assert "the nested model" in graph.groups["made"].reason


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
@pytest.mark.parametrize(
    ("change", "remedy"),
    [(lambda inner: inner.enable_lora(2), "Merge"), (lambda inner: inner.quantize("int8"), "on the slim model")],
)
def test_layers_inside_others_that_were_changed_later_stay(change, remedy):
    inner = layers.Dense(6)
    model = sequence(layers.TimeDistributed(inner))
    change(inner)
    with pytest.raises(kp.PruneError, match=remedy):
        kp.trace(model)
    assert not kp.trace(model, unknown="freeze").groups["first"].prunable


@pytest.mark.parametrize("layer", [layers.Conv2D(6, 3, activation=layers.PReLU()), layers.Activation(layers.PReLU())])
def test_layers_used_as_functions(layer):
    model = image(layer)
    model(random_inputs(model))  # Keras builds the layer inside now
    exact(model)
