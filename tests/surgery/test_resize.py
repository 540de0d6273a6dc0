"""Other widths, narrower and wider: the network is the one that would have been built so, untrained."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.surgery.costs.counts import cost_of_counts
from kerasprune.surgery.resize import GroupSizes, resize


def _network(trunk: int, inner: int, head: int) -> keras.Model:
    """A residual block with a depthwise convolution, a concatenation, and a flattened map before the classifier."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 9.0], name="norm")(inputs)
    x = layers.Conv2D(trunk, 3, padding="same", name="stem")(x)
    y = layers.Conv2D(inner, 1, name="expand")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(layers.BatchNormalization(name="bn")(y))
    x = layers.Add(name="add")([x, layers.Conv2D(trunk, 1, name="project")(y)])
    x = layers.Concatenate(name="both")([x, layers.Conv2D(head, 1, name="head")(x)])
    x = layers.Flatten(name="flat")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def test_the_network_is_that_which_would_have_been_built():
    old = _network(8, 16, 5)
    old.set_weights([np.zeros(w.shape) if w.shape else w for w in old.get_weights()])
    graph = kp.trace(old)
    new = resize(graph, {"stem": 5, "expand": 40, "head": 9})
    same = _network(5, 40, 9)
    assert [w.shape for w in new.weights] == [w.shape for w in same.weights]
    assert [layer.name for layer in new.layers] == [layer.name for layer in old.layers]
    count = GroupSizes(graph).counter({"stem": 5, "expand": 40, "head": 9})
    predicted, built = cost_of_counts(graph, count), kp.cost(new)
    assert (predicted.params, predicted.macs) == (built.params, built.macs)
    kernel = np.asarray(new.get_layer("expand").kernel)
    assert 0.5 < kernel.std() / np.sqrt(2 / (5 + 40)) < 1.5  # Glorot for the new widths, and not the old zeros
    np.testing.assert_array_equal(new(np.ones((2, 6, 6, 3))).shape, (2, 4))


def test_the_seed_decides_the_weights():
    graph = kp.trace(_network(8, 16, 5))
    one, same, other = (resize(graph, {"stem": 9}, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_adapted_input_normalisation_stays():
    inputs = keras.Input((4, 4, 3))
    layer = layers.Normalization(name="norm")
    layer.adapt(np.random.default_rng(0).normal(3, 2, (50, 4, 4, 3)))
    model = keras.Model(inputs, layers.Conv2D(4, 1, name="conv")(layer(inputs)))
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(model.output))
    model = keras.Model(inputs, x)
    new = resize(kp.trace(model), {"conv": 7})
    batch = np.ones((1, 4, 4, 3), "float32")
    np.testing.assert_allclose(new.get_layer("norm")(batch), layer(batch), rtol=1e-6)


def test_groups_that_are_cut_or_have_constants_keep_their_size():
    inputs = keras.Input((8,))
    whole = layers.Dense(10, name="whole")(inputs)
    scaled = layers.Dense(6, name="scaled")(inputs) * np.arange(6.0)
    x = layers.Concatenate()([whole[:, :4], scaled, whole])
    graph = kp.trace(keras.Model(inputs, layers.Dense(2, name="logits")(x)))
    fixed = GroupSizes(graph).fixed
    cut = {name for name in graph.groups if name.startswith("whole")}
    assert {"logits", "scaled"} <= fixed.keys() and cut & fixed.keys()
    for name in fixed.keys() & {*cut, "scaled"}:
        with pytest.raises(kp.PruneError, match="must keep its"):
            resize(graph, {name: 3})


@pytest.mark.parametrize(
    ("widths", "message"),
    [({"stm": 4}, "Did you mean 'stem'"), ({"stem": 0}, "1 channel or more"), ({"logits": 3}, "must keep its 4")],
)
def test_illegal_widths(widths, message):
    with pytest.raises(kp.PruneError, match=message):
        resize(kp.trace(_network(8, 16, 5)), widths)
    with pytest.raises(kp.PruneError, match="coupling='padded'"):
        resize(kp.trace(_network(8, 16, 5), coupling="padded"), {})
