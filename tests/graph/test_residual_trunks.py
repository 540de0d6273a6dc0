"""Residual trunks: branches that end in padded sums keep the first channels of their trunks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.residual_trunks import faults_of_sums, prefix_branches
from kerasprune.testing import check_rebuild, randomise


def branch_in_branch():
    """`a + (b + c)`: the inner sum comes first, and its trunk is a branch of the outer one."""
    inputs = keras.Input((5,))
    a = layers.Dense(6, name="a", activation="tanh")(inputs)
    b = layers.Dense(6, name="b", activation="tanh")(a)
    c = layers.Dense(6, name="c", activation="tanh")(b)
    x = layers.Add()([a, layers.Add()([b, c])])
    return randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))


@pytest.mark.parametrize("keep", [{"a": [1, 2, 4]}, {"a": [1, 2, 4], "c": [0, 5]}, {"b": [3, 5], "c": [4]}])
def test_a_choice_goes_through_sums_inside_sums(keep):
    model = branch_in_branch()
    graph = kp.trace(model, coupling="padded")
    assert [sum_.trunk[0] for sum_ in graph.padded] == sorted((s.trunk[0] for s in graph.padded), reverse=True)
    chosen = prefix_branches(graph, keep)
    assert not faults_of_sums(graph, graph.alive(chosen))
    again = prefix_branches(graph, chosen)
    assert all(np.array_equal(again[name], chosen[name]) for name in chosen)
    check_rebuild(model, kp.Plan(chosen, coupling="padded"))
