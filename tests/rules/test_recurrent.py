"""Units of recurrent layers, silenced by their own weights."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan, randomise


@pytest.mark.matrix
@pytest.mark.parametrize(
    "shape, layer",
    [
        ((5, 4), lambda: layers.LSTM(6)),
        ((5, 4), lambda: layers.GRU(6)),
        ((5, 4), lambda: layers.GRU(6, reset_after=False)),
        ((5, 4), lambda: layers.SimpleRNN(6)),
        ((5, 4), lambda: layers.Bidirectional(layers.LSTM(6))),
        ((3, 4, 4, 2), lambda: layers.ConvLSTM2D(6, 2)),
        ((3, 5, 2), lambda: layers.ConvLSTM1D(6, 2)),
    ],
)
def test_a_unit_without_weights_says_nothing(shape, layer):
    """A unit whose kernels and biases are zero stays at zero: nothing has to be made up for."""
    inputs = keras.Input(shape)
    x = layers.Flatten()(layer()(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    plan, batch = random_plan(kp.trace(model)), random_inputs(model)
    slim = kp.rebuild(model, plan)
    assert compare(kp.mask(model, plan, silence="weights"), slim, batch).error < 1e-5
    assert compare(kp.mask(model, plan), slim, batch).error < 1e-5
    assert compare(model, slim, batch).error > 1e-3


@pytest.mark.parametrize("which", ["activation", "recurrent_activation"])
@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.ConvLSTM2D])
def test_units_that_a_function_mixes_stay(kind, which):
    shape, arguments = ((3, 4, 4, 2), (6, 2)) if kind is layers.ConvLSTM2D else ((5, 4), (6,))
    inputs = keras.Input(shape)
    x = kind(*arguments, **{which: "softmax"}, name="units")(inputs)
    graph = kp.trace(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    assert not graph.groups["units"].prunable and "softmax" in graph.groups["units"].reason
