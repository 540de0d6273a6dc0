"""Wrappers around layers without a rule."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan, randomise


@keras.saving.register_keras_serializable("wrappers")
class Backwards(layers.Layer):
    """A layer without a rule."""

    def call(self, x):
        return x[..., ::-1]

    def compute_output_shape(self, shape):
        return shape


def test_a_layer_without_a_rule_inside_another_is_named():
    inputs = keras.Input((5, 4))
    x = layers.TimeDistributed(Backwards(name="inside"), name="outside")(layers.Dense(6, name="first")(inputs))
    x = layers.Dense(7, name="second")(x)
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    with pytest.raises(kp.PruneError, match="inside 'outside'. Received: 'inside' of class Backwards.*@kp.rule"):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert not graph.groups["first"].prunable and graph.groups["second"].prunable
    plan = random_plan(graph)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda: layers.TimeDistributed(layers.Dense(5, activation="relu")),
        lambda: layers.TimeDistributed(layers.BatchNormalization()),
        lambda: layers.TimeDistributed(layers.Flatten()),
        lambda: layers.TimeDistributed(layers.Dropout(0.5)),
        lambda: layers.LSTM(5, return_sequences=True),
        lambda: layers.Bidirectional(layers.GRU(5, return_sequences=True)),
    ],
)
def test_steps_that_a_layer_made_stay_where_one_is_applied_at_each(wrapped):
    inputs = keras.Input((4,))
    x = layers.Reshape((8, 1))(layers.Dense(8, name="steps")(inputs))
    y = layers.Reshape((1, 6))(layers.Dense(6, name="channels")(inputs))
    x = wrapped()(layers.Multiply()([x, y]))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    graph = kp.trace(model)
    prunable = {name for group in graph.prunable.values() for name in group.layers}
    assert "steps" not in prunable and "channels" in prunable, graph.report()
    plan = random_plan(graph)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5


def test_a_wrapped_model_of_several_layers_is_refused_with_the_way_round_it_and_can_be_frozen():
    frames = keras.Input((3, 6, 2))
    encoder = keras.Sequential(
        [keras.Input((6, 2)), layers.Conv1D(4, 3), layers.GlobalAveragePooling1D()], name="frame"
    )
    inner = layers.TimeDistributed(encoder, name="steps")(frames)
    model = keras.Model(frames, layers.Dense(2)(layers.LSTM(4, name="a")(inner)))
    with pytest.raises(kp.PruneError, match=r"'frame'.*Write it out with kp.functional\(model\) first"):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert [each.name for each in graph.unknown] == ["steps"]
    assert list(graph.prunable) == ["a"]
