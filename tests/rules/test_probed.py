"""Channels that are joined, one by one, with channels that always stay."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan, randomise

TABLE = np.linspace(-1, 1, 24, dtype="float32").reshape(4, 6)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: ops.logaddexp(x, y),
        lambda x, y: ops.where(x > 0.1, x, y),
        lambda x, y: ops.arctan2(x, y),
        lambda x, y: x + y,
        lambda x, y: x * y,
        lambda x, y: ops.maximum(x, y),
        lambda x, y: layers.Average()([x, y]),
        lambda x, y: ops.stack([x, y], axis=1),
        lambda x, y: ops.concatenate([x, y], axis=1),
        lambda x, y: ops.einsum("btc,btc->btc", x, y),
        lambda x, y: ops.matmul(ops.expand_dims(x, 1), ops.expand_dims(ops.swapaxes(y, 1, 2), 1)),
        lambda x, y: layers.Attention()([y, x, y]),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_channels_joined_with_others_stay(join, swapped):
    inputs = keras.Input((5, 4))
    made, mixed = layers.Dense(6, name="made")(inputs), ops.matmul(inputs, TABLE)  # no rule cuts a table
    x = join(mixed, made) if swapped else join(made, mixed)
    x = layers.Dense(7, name="after")(layers.Flatten()(x))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    graph = kp.trace(model)
    assert graph.groups["after"].prunable
    for seed in range(2):
        plan = random_plan(graph, seed)
        assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5


def test_channels_that_are_joined_with_another_number_of_channels_stay():
    class Own(layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(3, 3, shape[-1], 16), name="kernel")

        def call(self, x):
            return ops.conv(x, self.kernel, padding="same")

    inputs = keras.Input((8, 8, 3))
    x = Own()(layers.Conv2D(8, 1, name="made")(layers.Conv2D(12, 3, name="before")(inputs)))
    x = layers.Dense(7, name="after")(x)
    model = randomise(kp.functional(keras.Model(inputs, layers.Dense(3, name="logits")(x))))
    graph = kp.trace(model)
    assert [graph.groups[name].prunable for name in ("before", "made", "after")] == [True, False, True]
    plan = random_plan(graph)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5


def test_the_values_of_attention_keep_their_lanes():
    inputs = keras.Input((5, 4))
    query, value, key = (layers.Dense(6, name=name)(inputs) for name in ("query", "value", "key"))
    x = layers.Attention(use_scale=True)([query, value, key])
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    graph = kp.trace(model)
    assert [graph.groups[name].prunable for name in ("query", "value", "key")] == [False, True, False]
    plan = random_plan(graph)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5


@pytest.mark.parametrize(
    "join, reason",
    [
        (lambda x, y: ops.logaddexp(x, y), "combines them with channels that are always kept"),
        (lambda x, y: ops.sort(x, axis=-1), "mixes them"),
    ],
)
def test_why_channels_of_an_operation_stay(join, reason):
    inputs = keras.Input((5, 4))
    x = join(layers.Dense(6, name="made")(inputs), ops.matmul(inputs, TABLE))
    graph = kp.trace(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    assert reason in graph.groups["made"].reason


def clipped(x):
    """Clips the norm over channels to ten: the identity on small numbers."""
    return x * ops.minimum(1.0, 10.0 / ops.maximum(ops.norm(x, axis=-1, keepdims=True), 1e-9))


class Clipped(layers.Layer):
    def call(self, x):
        return clipped(x)


class ClippedOperation(keras.Operation):
    def call(self, x):
        return clipped(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize(
    "make", [lambda: layers.Lambda(clipped, output_shape=(6,)), lambda: layers.Activation(clipped), Clipped,
             ClippedOperation],
)  # fmt: skip
def test_functions_are_tried_on_large_numbers_too(make, batch):
    inputs = keras.Input(batch_shape=(batch, 4))
    model = keras.Model(inputs, layers.Dense(3)(make()(layers.Dense(6, name="made")(inputs))))
    assert not kp.trace(model, unknown="freeze").groups["made"].prunable


class Shifted(layers.Layer):
    """Acts on every channel separately, in both modes, and adds a loss."""

    def __init__(self, by=1.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, x, training=None):
        self.add_loss(ops.mean(x))
        return ops.tanh(x + self.by)[:, ::-1]


class Joined(layers.Layer):
    def call(self, x, y):
        return x * ops.sigmoid(y)


@pytest.mark.parametrize("absorb", [True, False])
@pytest.mark.parametrize("make", [Shifted, Joined, lambda: layers.Identity()])
def test_layers_without_weights_are_tried_as_operations_are(make, absorb):
    inputs, layer = keras.Input((5, 4)), make()
    made = [layers.Dense(6, name=f"made_{i}")(inputs) for i in range(2 if isinstance(layer, Joined) else 1)]
    model = randomise(keras.Model(inputs, layers.Dense(3, name="after")(layers.Flatten()(layer(*made)))))
    before = len(model.losses)
    graph = kp.trace(model)
    assert "made_0" in graph.prunable and not graph.unknown and len(model.losses) == before
    plan = random_plan(graph)
    oracle = kp.mask(model, plan, silence="weights" if absorb else "output")
    assert compare(oracle, kp.rebuild(model, plan, absorb=absorb), random_inputs(model)).error < 1e-5


class Scaled(layers.Layer):
    """Notes the number of channels when it is built."""

    def build(self, shape):
        self.width = shape[-1]

    def call(self, x):
        return x / self.width


class ByMask(layers.Layer):
    def call(self, x, mask=None):
        return x


class InTraining(layers.Layer):
    """Mixes channels while training."""

    def call(self, x, training=None):
        return ops.cumsum(x, axis=-1) if training else x


class Noisy(layers.Layer):
    def call(self, x):
        return x + keras.random.normal(ops.shape(x))


UNSEEDED = [Noisy] if keras.backend.backend() != "jax" else []  # where Keras demands a seed


class Reversed(layers.Layer):
    def call(self, x):
        return x[..., ::-1]


class Weighted(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = self.add_weight(shape=())

    def call(self, x):
        return x * self.factor


@pytest.mark.parametrize("kind", [Scaled, ByMask, InTraining, *UNSEEDED, Reversed, Weighted])
def test_other_layers_without_a_rule_are_unknown(kind):
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, layers.Dense(3)(kind(name="own")(layers.Dense(6, name="made")(inputs))))
    with pytest.raises(kp.PruneError, match=f"'own' of class {kind.__name__}, which kerasprune does not know"):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert not graph.groups["made"].prunable and [each.name for each in graph.unknown] == ["own"]
