"""Which convolutions, and which groups before them, are at risk of oneDNN's gradient."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.strided_pointwise import groups_at_risk, layers_at_risk

pytestmark = pytest.mark.jax


def network(convolution: layers.Layer, width: int = 8, side: int = 48) -> keras.Model:
    inputs = keras.Input((side, side, 3))
    wide, narrow = (layers.Conv2D(n, 3, padding="same", name=name)(inputs) for n, name in ((4, "a"), (width - 4, "b")))
    x = convolution(layers.Concatenate()([wide, narrow]))
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(3, name="after")(layers.Flatten()(x))))


@pytest.mark.parametrize("strides", [2, (1, 3)])
@pytest.mark.parametrize("wrapped", [False, True])
def test_all_groups_before_it_are_named(strides, wrapped):
    convolution = layers.Conv2D(6, 1, strides=strides, name="short")
    model = network(keras.Sequential([convolution], name="inside") if wrapped else convolution)
    assert groups_at_risk(kp.trace(model)) == {"a", "b"}
    assert layers_at_risk(model) == ["short"]


@pytest.mark.parametrize(
    "other",
    [
        layers.Conv2D(6, 1),
        layers.Conv2D(6, 3, strides=2),
        layers.Conv2D(6, (1, 3), strides=2),
        layers.Conv2D(6, 1, strides=2, groups=2),
        layers.DepthwiseConv2D(1, strides=2),
    ],
    ids=lambda layer: f"{type(layer).__name__} {layer.kernel_size}",
)
def test_others_are_not(other):
    model = network(other)
    assert not groups_at_risk(kp.trace(model))
    assert not layers_at_risk(model)


@pytest.mark.parametrize(("side", "found"), [(None, {"a", "b"}), (46, {"a", "b"}), (44, set())])
def test_inputs_are_large_or_may_be(side, found):
    inputs = keras.Input((side, side, 3))
    both = [layers.Conv2D(4, 3, padding="same", name=name)(inputs) for name in "ab"]
    x = layers.Conv2D(6, 1, strides=2)(layers.Concatenate()(both))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    assert groups_at_risk(kp.trace(model)) == found


def test_sixteen_channels_are_a_whole_register():
    assert layers_at_risk(network(layers.Conv2D(6, 1, strides=2, name="short"), 15)) == ["short"]
    assert not layers_at_risk(network(layers.Conv2D(6, 1, strides=2), 16))
