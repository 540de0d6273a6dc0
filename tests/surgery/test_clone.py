"""Copies of layers that their configs do not make anew."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import compare, random_inputs


class Fashion(layers.Layer):
    """A layer that is made by the rules of the day."""

    numbers = (4,)

    def build(self, shape):
        self.tables = [self.add_weight(shape=(number,), initializer="normal", name="table") for number in self.numbers]

    def call(self, x):
        return x + sum(keras.ops.sum(table) for table in self.tables)

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("later", [(4,), (5,), (4, 4), ()])
def test_weights_of_other_shapes_or_numbers_are_refused(monkeypatch, later):
    inputs = keras.Input((6,))
    x = Fashion(name="fashion")(layers.Dense(5, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(x))
    monkeypatch.setattr(Fashion, "numbers", later)
    graph = kp.trace(model, unknown="freeze")
    if later == (4,):
        assert compare(model, kp.rebuild(graph, kp.Plan({})), random_inputs(model)).error < 1e-6
        return
    with pytest.raises(kp.PruneError, match=f"'fashion' of class Fashion, which has 1 weights, its copy {len(later)}"):
        kp.rebuild(graph, kp.Plan({}))


def test_two_weights_of_one_name_keep_their_values(monkeypatch):
    monkeypatch.setattr(Fashion, "numbers", (4, 4))
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(Fashion(name="fashion")(layers.Dense(5)(inputs))))
    copy = kp.rebuild(kp.trace(model, unknown="freeze"), kp.Plan({}))
    assert all(map(np.array_equal, model.get_weights(), copy.get_weights()))
