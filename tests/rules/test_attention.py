"""Calls of attention that say nothing of channels."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan, randomise

MASK = keras.ops.convert_to_numpy([[1, 1, 1, 0, 1]]).astype(bool)


@pytest.mark.parametrize("make", [lambda: layers.MultiHeadAttention(4, 3), lambda: layers.GroupQueryAttention(3, 4, 2)])
@pytest.mark.parametrize("how", [{"use_causal_mask": True}, {"query_mask": MASK}, {"value_mask": MASK}, {}])
def test_masks_of_positions_leave_heads_free(make, how):
    inputs = keras.Input((5, 6))
    attention = make()
    x = attention(inputs, inputs, **how)
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    graph = kp.trace(model)
    assert f"{attention.name}/heads" in graph.prunable
    plan, batch = random_plan(graph), random_inputs(model)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), batch).error < 1e-5
