"""PreConfig: the costs stay, widths change; layers that cost little become wider."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp


@pytest.fixture(scope="module")
def resnet():
    return kp.models.resnet_cifar(14, input_shape=(16, 16, 3), shortcut="projection", width=2)


@pytest.mark.parametrize("asked", [{}, {"params": 0.7}, {"params": 2.0, "macs": None}])
def test_the_costs_are_those_asked_for(resnet, asked):
    new = kp.papers.reconfigure(resnet, **asked)
    old, found = kp.cost(resnet), kp.cost(new)
    for key, share in {"params": 1.0, "macs": 1.0, **asked}.items():
        if share is not None:
            assert getattr(found, key) / getattr(old, key) == pytest.approx(share, rel=0.02)
    assert not new.compiled and new.output_shape == resnet.output_shape
    assert np.isfinite(np.asarray(new(np.ones((2, 16, 16, 3), "float32")))).all()


def test_numbers_of_channels_are_those_of_the_equation():
    """A chain: √p times the outputs, p above and below 1, where λ = α·p is the same for all layers."""
    x = inputs = keras.Input((400,))
    for name, width in (("a", 300), ("b", 900), ("c", 200)):
        x = keras.layers.Dense(width, name=name)(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    new = kp.papers.reconfigure(model, params=1.0, macs=None)
    ratio = np.array([new.get_layer(name).units for name in "abc"]) / [300, 900, 200]
    levels = ratio**2 * [400 * 300, 300 * 900, 900 * 200]
    assert ratio.max() > 1.2 and ratio.min() < 0.9
    assert levels.max() / levels.min() < 1.03


def test_cheap_layers_become_wider(resnet):
    new = kp.papers.reconfigure(resnet, params=0.7)
    ratio = {
        n: new.get_layer(n).filters / resnet.get_layer(n).filters
        for n in ("stage1_block1_conv1", "stage3_block2_conv1")
    }
    assert ratio["stage3_block2_conv1"] < 0.8 < ratio["stage1_block1_conv1"]
    assert (
        new.get_layer("stage3_block1_conv2").filters == new.get_layer("stage3_block2_conv2").filters
    )  # they are added


def test_what_cannot_be_reconfigured(resnet):
    with pytest.raises(kp.PruneError, match=r"(?s)params=0.*macs='all'"):
        kp.papers.reconfigure(resnet, params=0, macs="all")
    with pytest.raises(kp.PruneError, match="Received: neither"):
        kp.papers.reconfigure(resnet, params=None, macs=None)
    with pytest.raises(kp.PruneError, match="coupling='padded'"):
        kp.papers.reconfigure(kp.trace(resnet, coupling="padded"))
    with pytest.warns(UserWarning, match="params=0.3 leaves no room for more"):
        kp.papers.reconfigure(resnet, params=0.3, macs=4.0)


def test_a_layer_that_costs_no_multiplications(recwarn):
    """An embedding has parameters only: a budget of multiply–adds says nothing of its width, and no division fails."""
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(40, 12, name="words")(inputs)
    x = keras.layers.Dense(24, activation="relu", name="hidden")(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    new = kp.papers.reconfigure(model, params=1.0, macs=1.2)
    assert kp.cost(new).macs == pytest.approx(1.2 * kp.cost(model).macs, rel=0.1)
    assert not [each for each in recwarn.list if issubclass(each.category, RuntimeWarning)]
