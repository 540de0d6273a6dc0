"""Normalisations of tensors that carry channels on several axes."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan, randomise


@pytest.mark.matrix
@pytest.mark.parametrize(
    "norm, rows, columns",
    [
        (lambda: layers.GroupNormalization(-1), False, True),
        (lambda: layers.GroupNormalization(3), False, True),
        (lambda: layers.GroupNormalization(2, axis=1), False, False),
        (lambda: layers.BatchNormalization(), True, True),
        (lambda: layers.BatchNormalization(axis=1), True, True),
        (lambda: layers.LayerNormalization(), True, True),
        (lambda: layers.LayerNormalization(axis=1), False, False),
        (lambda: layers.LayerNormalization(axis=(1, 2)), False, False),
        (lambda: layers.UnitNormalization(), False, False),
    ],
)
def test_statistics_run_over_whole_axes(norm, rows, columns):
    """Positions that a layer has made may go only where no statistic runs over them."""
    inputs = keras.Input((4,))
    x = layers.Reshape((8, 1))(layers.Dense(8, name="rows")(inputs))
    y = layers.Reshape((1, 6))(layers.Dense(6, name="columns")(inputs))
    x = norm()(layers.Multiply()([x, y]))
    model = randomise(keras.Model(inputs, layers.EinsumDense("abc,bcd->ad", 3, name="logits")(x)))
    graph = kp.trace(model)
    prunable = {name for group in graph.prunable.values() for name in group.layers}
    assert ("rows" in prunable, "columns" in prunable) == (rows, columns), graph.report()
    for seed in range(2):
        plan = random_plan(graph, seed)
        assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5
