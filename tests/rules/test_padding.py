"""Zeros along an axis that carries channels are channels too: they go like others, and arguments follow."""

from __future__ import annotations

import keras
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.testing import check_rebuild, random_plan, randomise


@pytest.mark.matrix
@pytest.mark.parametrize(
    "shape, turn, pad, back",
    [
        ((5, 4), (2, 1), lambda: layers.ZeroPadding1D((2, 1)), (2, 1)),
        ((5, 4), (2, 1), lambda: layers.ZeroPadding1D(1), (2, 1)),
        ((5, 4, 3), (3, 1, 2), lambda: layers.ZeroPadding2D(((2, 1), (0, 3))), (2, 3, 1)),
        ((5, 4, 3), (1, 3, 2), lambda: layers.ZeroPadding2D(((1, 0), (0, 3))), (1, 3, 2)),
        ((3, 4, 3, 2), (1, 4, 2, 3), lambda: layers.ZeroPadding3D(((1, 0), (2, 3), (0, 1))), (1, 3, 4, 2)),
        ((5, 4), (2, 1), lambda: lambda x: ops.pad(x, ((0, 0), (2, 1), (1, 0))), (2, 1)),
    ],
)
def test_padding_along_the_channels(shape, turn, pad, back):
    inputs = keras.Input(shape)
    x = layers.Permute(turn)(layers.Dense(6, name="channels")(inputs))
    x = layers.Permute(back)(pad()(x))
    wide = x.shape[-1]
    x = layers.Add()([x, layers.Dense(wide, name="others")(inputs if x.shape[1:-1] == inputs.shape[1:-1] else x)])
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    graph = kp.trace(model)
    assert {group.size for group in graph.prunable.values()} == {6, wide - 6}
    for seed in range(2):
        check_rebuild(model, random_plan(graph, seed))
