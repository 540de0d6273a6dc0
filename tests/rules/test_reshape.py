"""Two axes of channels that become one, or others."""

from __future__ import annotations

import keras
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan, randomise


@pytest.mark.matrix
@pytest.mark.parametrize("how", ["layer", "operation"])
@pytest.mark.parametrize(
    "shape", [(12,), (1, 12), (12, 1), (2, 6), (6, 2), (2, 2, 3), (3, 4), (4, 3), (4, 1, 3), (4, 3, 1)]
)
def test_two_axes_of_channels_are_reshaped(shape, how):
    inputs = keras.Input((5,))
    x = layers.Reshape((4, 1))(layers.Dense(4, name="rows")(inputs))
    y = layers.Reshape((1, 3))(layers.Dense(3, name="columns")(inputs))
    x = layers.Multiply()([x, y])
    x = layers.Reshape(shape)(x) if how == "layer" else ops.reshape(x, (-1, *shape))
    x = layers.Dense(6, name="after")(layers.Flatten()(ops.tanh(x)))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    graph = kp.trace(model)
    if shape in ((4, 3), (4, 1, 3)):
        assert "columns" in graph.prunable or "rows" in graph.prunable, graph.report()
    for seed in range(2):
        plan = random_plan(graph, seed)
        assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5
