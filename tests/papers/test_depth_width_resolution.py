"""Extents of networks that cannot change in every dimension."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.papers.three_dimensions.depth_width_resolution import Costs, Extent, check_side


def test_a_network_all_of_whose_channels_stay_has_one_width():
    inputs = keras.Input((8, 8, 3))
    branch = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same", name="branch")(inputs))
    x = layers.GlobalAveragePooling2D()(layers.Add(name="sum")([inputs, branch]))
    model = keras.Model(inputs, layers.Dense(2)(x))
    extent = Extent.of(model)
    assert not extent.widths and (extent.blocks, extent.droppable, extent.side) == (1, 1, 8)
    costs = Costs.of(model, extent, {"sum": 1.0}, (0.1, 0.1, 0.1))
    np.testing.assert_array_equal(costs.widths, [1.0])
    np.testing.assert_array_equal(costs.asked, [1.0])
    np.testing.assert_array_equal(costs.macs, [[[1.0]]])


def test_a_plain_network_is_as_deep_as_it_has_convolutions():
    inputs = x = keras.Input((8, 8, 3))
    for n, (filters, strides) in enumerate([(4, 1), (4, 1), (6, 2), (6, 1), (6, 1)]):
        x = layers.Conv2D(filters, 3, strides, padding="same", name=f"conv{n}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    extent = Extent.of(model)
    assert (extent.blocks, extent.droppable) == (5, 3)
    assert [extent.blocks_at(depth) for depth in (1.0, 0.8, 0.6, 0.1)] == [5, 4, 3, 2]


def test_a_residual_network_is_as_deep_as_it_has_sums_of_two_branches():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.Add()([x, layers.Conv2D(4, 1)(x)])
    x = layers.Add()([layers.Conv2D(6, 1, strides=2)(x), layers.Conv2D(6, 3, strides=2, padding="same")(x)])
    x = layers.Add()([x, layers.Conv2D(6, 1)(x)])
    x = layers.Add()([x, layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(6, 1)(x))])  # no shortcut: a gate
    extent = Extent.of(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    assert (extent.blocks, extent.droppable) == (3, 2)


@pytest.mark.parametrize(
    "shape, sides",
    [((None, None, 3), (4, 8)), ((8, 8, 3), (8,)), ((8, None, 3), (8,)), ((None, 8, 3), (8,)), ((8,), (8,))],
)
def test_a_side_that_is_fixed_stays(shape, sides):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layers.Dense(3)(inputs))
    for side in (4, 8):
        if side in sides:
            check_side(model, side)
            continue
        with pytest.raises(kp.PruneError, match="a free input side"):
            check_side(model, side)
