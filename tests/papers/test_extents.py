"""Extents of networks that cannot change in every dimension."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.papers.three_dimensional.extents import Costs, Extent, check_side


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


def test_channels_that_come_first_are_no_side():
    def pooled(side: int | None, form: str) -> keras.Model:
        inputs = keras.Input((3, side, side) if form == "channels_first" else (side, side, 3))
        x = layers.Conv2D(4, 3, data_format=form, name="conv")(inputs)
        return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D(data_format=form)(x)))

    found = []
    for form in ("channels_last", "channels_first"):
        assert Extent.of(pooled(8, form)).side == 8
        with pytest.raises(kp.PruneError, match="a free input side"):
            check_side(pooled(8, form), 6)
        with pytest.raises(kp.PruneError, match="leaves it free"):
            Extent.of(pooled(None, form))
        check_side(pooled(None, form), 6)
        found.append(Costs.of(pooled(None, form), Extent.of(pooled(None, form), 8), {}, (1.0, 0.5, 0.5)))
    last, first = found
    np.testing.assert_array_equal(first.macs, last.macs)
    np.testing.assert_array_equal(first.resolutions, [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8])


def test_a_network_shrinks_to_the_smallest_images_that_it_takes_without_any_scores():
    inputs = x = keras.Input((None, None, 3))
    for _ in range(3):
        x = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same")(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))  # nothing has a BatchNorm
    built = kp.papers.one_dimension(model, lambda slim, **_: 0.5, "resolution", macs=0.25, size=16)
    assert (built.side, built.w) == (8, 1.0)
    assert Costs.of(model, Extent.of(model, 16), {}, (1.0, 1.0, 0.01)).resolutions[-1] == 8 / 16


def test_a_criterion_with_a_loss_has_it_in_every_round_and_after_a_kill(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(8, "relu"), layers.Dense(2)])
    model.compile("sgd", "mse")
    data = [(np.ones((8, 4), "float32"), np.ones((8, 2), "float32"))]
    how = {"keep": 0.5, "rounds": 2, "channels": "taylor_fo", "data": data, "folder": tmp_path}

    def killed(slim: keras.Model, **_) -> float:
        if slim.layers[-2].units < 6:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        kp.papers.three_dimensional.rounds(model, killed, "width", **how)
    points = kp.papers.three_dimensional.rounds(model, lambda slim, **_: 0.5, "width", **how)
    assert [point.w for point in points] == [0.75, 0.5]
