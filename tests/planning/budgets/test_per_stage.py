"""Stages, against reading them off the drawing of a network."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.planning.budgets.per_stage import stages


def conv(filters, name, strides=1, kernel=1):
    return layers.Conv2D(filters, kernel, strides, padding="same", name=name)


def network(side):
    """A stem, a block of its size, and one that halves it in its second layer; then a convolution and a classifier."""
    first = keras.config.image_data_format() == "channels_first"
    inputs = keras.Input((3, side, side) if first else (side, side, 3))
    x = conv(4, "stem")(inputs)
    x = layers.Add()([x, conv(4, "b")(layers.ReLU()(conv(4, "a")(x)))])
    y = layers.ReLU()(conv(8, "before_stride")(x))
    y = conv(8, "last")(conv(8, "strided", 2)(y))
    x = conv(8, "shortcut", 2)(x) + y
    x = layers.Add()([x, conv(8, "d")(conv(8, "c")(x))])
    x = conv(9, "alone", 2)(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture
def data_format(request):
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(request.param)
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"], indirect=True)
@pytest.mark.parametrize("side", [16, None])
def test_the_layers_of_a_block_belong_to_the_size_it_leads_to(side, data_format):
    assert stages(kp.trace(network(side))) == {
        "stem": 0,
        **dict.fromkeys(["a", "b"], 1),
        **dict.fromkeys(["before_stride", "strided", "last", "shortcut", "c", "d"], 2),
        "alone": 3,
    }


def test_layers_of_one_name_have_their_own_stages():
    """In an ensemble of two loaded networks; the second begins anew."""
    inputs = keras.Input((16, 16, 3))
    one, other = network(16), network(16)
    one.name, other.name = "one", "other"
    ensemble = keras.Model(inputs, layers.Concatenate()([one(inputs), other(inputs)]))
    alone, found = stages(kp.trace(one)), stages(kp.trace(ensemble))
    assert [name for name in found if name.endswith("#2")] == [f"{name}#2" for name in alone]
    assert all(found[f"{name}#1"] == at for name, at in alone.items())
    assert all(found[f"{name}#2"] == max(at, 1) + 3 for name, at in alone.items())  # a stem is one by coming first
