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


def test_inputs_stay_optional_and_sparse():
    inputs = {"x": keras.Input((5,), name="x"), "more": keras.Input((5,), name="more", optional=True)}
    sparse = keras.backend.backend() == "tensorflow"
    inputs["sparse"] = keras.Input((5,), name="sparse", sparse=sparse)
    hidden = layers.Dense(6, name="hidden")(layers.Concatenate()([inputs["x"], layers.Dense(3)(inputs["sparse"])]))
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    for copy in (kp.rebuild(model, kp.Plan({"hidden": [0, 3]})), kp.functional(model)):
        given = {layer.name: (layer.optional, layer.sparse) for layer in copy.layers if hasattr(layer, "optional")}
        assert given == {"x": (False, False), "more": (True, False), "sparse": (False, sparse)}
        assert copy({"x": np.ones((2, 5)), "more": None, "sparse": np.ones((2, 5))}).shape == (2, 2)


def test_what_a_copy_adds_has_the_precision_of_the_model_not_that_of_the_process():
    given = keras.Input((6,))
    nested = keras.Model(given, layers.Add(name="sum")([given, layers.Dense(6, name="branch")(given)]), name="nested")
    inputs = keras.Input((4, 5))
    x = layers.TimeDistributed(layers.LayerNormalization(), name="steps")(layers.Dense(6, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(nested(x[:, 0])))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        slim = kp.rebuild(model, kp.Plan({}, removed=["sum"]))
        masked = kp.mask(model, kp.Plan({"hidden": [0, 2, 3]}))
    finally:
        keras.config.set_dtype_policy("float32")
    made = [slim.get_layer("nested").get_layer("nested_identity"), masked.get_layer("steps")]
    assert [layer.compute_dtype for layer in made] == ["float32", "float32"]
