"""A graph with a plan cut: what is left of a variable is what NumPy takes, and belongs to nobody else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
import kerasprune.surgery.cut as cut_file
from kerasprune.surgery.cut import Cut


@pytest.mark.parametrize("at_once", [1, 7, 60, 2**18])
@pytest.mark.parametrize("axes", [(), (0,), (3,), (2, 3), (1, 2), (0, 1, 2, 3)])
def test_in_parts_or_at_once_the_same_is_taken(monkeypatch, at_once, axes):
    monkeypatch.setattr(cut_file, "_AT_ONCE", at_once)
    generator = np.random.default_rng(0)
    array = generator.normal(size=(3, 4, 9, 5)).astype("float32")
    places = {axis: np.sort(generator.permutation(array.shape[axis])[:2]) for axis in axes}
    expected = array
    for axis, each in places.items():
        expected = np.take(expected, each, axis=axis)
    taken = cut_file._taken(array, places)
    np.testing.assert_array_equal(taken, expected)
    assert taken.dtype == array.dtype and not np.shares_memory(taken, array)


@pytest.mark.quick
@pytest.mark.jax
def test_what_is_left_is_writable_and_no_part_of_the_model():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(6, 3, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))
    graph = kp.trace(model)
    for keep in ({}, {"first": [0, 3]}):
        cut = Cut.of(graph, kp.Plan(keep))
        for variable in model.variables:
            entry = next((each for each in graph.slices if each.variable is variable), None)
            left = cut.value(entry, variable)
            before = keras.ops.convert_to_numpy(variable)
            left[...] = 7
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), before)


@pytest.mark.quick
@pytest.mark.jax
def test_training_the_slim_model_leaves_the_dense_one_and_the_other_way_round():
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64, name="first"), layers.Dense(64, name="last")])
    slim = kp.rebuild(model, kp.Plan({}))
    for one, other in ((model, slim), (slim, model)):
        before = [keras.ops.convert_to_numpy(variable).copy() for variable in other.variables]
        for variable in one.variables:
            variable.assign_add(keras.ops.ones(variable.shape))
        for variable, value in zip(other.variables, before, strict=True):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
