"""PruningNet against what it says it is: the slim model with the weights made for it, and every weight learnt."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing.randomness import randomise


def residual() -> keras.Model:
    """A residual net with all that cropping meets: a trunk, depthwise and grouped kernels, a concatenation, SE."""
    inputs = keras.Input((8, 8, 3))
    trunk = layers.Conv2D(12, 3, padding="same", name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(trunk))
    x = layers.Conv2D(10, 3, padding="same", use_bias=False, name="inner")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(10, 1, activation="sigmoid", name="gate")(gate)])
    x = layers.Conv2D(12, 1, name="back")(x)
    x = layers.Add()([x, trunk])
    x = layers.Concatenate()([x, _grouped(x)])
    x = layers.Dropout(0.2)(layers.BatchNormalization()(x))
    return randomise(keras.Model(inputs, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x))), seed=3)


def _grouped(x):
    return layers.Conv2D(8, 3, padding="same", groups=4, name="grouped")(layers.Conv2D(8, 1, name="before")(x))


@pytest.fixture(scope="module")
def model():
    return residual()


@pytest.fixture(scope="module")
def net(model):
    """A net as after some training: W₂ is no longer zero, so that widths make the kernels."""
    net, random = kp.papers.pruning_nets.PruningNet(model, hidden=5, seed=1), np.random.default_rng(1)
    for weight in net.weights:
        if weight.name.endswith("_w2"):
            weight.assign(random.normal(scale=0.1, size=weight.shape))
    return net


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.mark.thorough
def test_the_masked_net_is_the_slim_model_with_the_weights_made_for_it(model, net):
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    generator = np.random.default_rng(1)
    for _ in range(4):
        genes = [int(generator.integers(number)) for number in net.widths.choices]
        net.set_widths(genes)
        found, slim = outputs(net, images), net.slim(genes)
        assert found.std(axis=0).max() > 0.02 * np.abs(found).max()
        np.testing.assert_allclose(found, outputs(slim, images), atol=2e-5 * np.abs(found).max())
        kept = net.widths.kept(genes)
        assert [len(net.widths.plan(genes).keep[name]) for name in net.widths.names] == kept.tolist()
        assert slim.count_params() == kp.cost(model, net.widths.plan(genes)).params
        share = net.widths.share(np.array([genes]))[0]
        assert share == kp.cost(slim).macs / kp.cost(model).macs


@pytest.mark.parametrize("hidden", [1, 5])
def test_at_full_width_it_begins_as_the_model(model, hidden):
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    begun = kp.papers.pruning_nets.PruningNet(model, hidden=hidden, seed=1)
    np.testing.assert_allclose(outputs(begun, images), outputs(model, images), rtol=1e-5, atol=1e-6)


def test_a_kernel_is_the_two_layer_net_of_the_widths_around_it(net):
    genes = [number // 2 for number in net.widths.choices]
    slim = net.slim(genes)
    w1, b1, w2, b2 = (
        next(w for w in net.weights if w.name == f"inner_kernel_{part}") for part in ("w1", "b1", "w2", "b2")
    )
    w1, b1, w2, b2 = map(keras.ops.convert_to_numpy, (w1, b1, w2, b2))
    shares = dict(zip(net.widths.names, net.widths.kept(genes) / net.widths.sizes, strict=True))
    encoding = np.array([shares[name] for name in net.widths.names if name in ("stem", "inner")])
    kernel = (np.maximum(encoding @ w1 + b1, 0) @ w2 + b2).reshape(3, 3, 12, 10)
    kept = {name: len(net.widths.plan(genes).keep[name]) for name in ("stem", "inner")}
    expected = kernel[:, :, : kept["stem"], : kept["inner"]]
    found = keras.ops.convert_to_numpy(slim.get_layer("inner").kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.thorough
def test_training_draws_widths_and_reaches_every_net(model):
    net = kp.papers.pruning_nets.PruningNet(
        kp.trace(model, freeze=["stem"]), hidden=8, fractions=(0.25, 0.5, 1.0), seed=2
    )
    assert "stem" not in net.widths.names
    before = [keras.ops.convert_to_numpy(each).copy() for each in net.trainable_variables]
    drawn = np.array([keras.ops.convert_to_numpy(net._drawn()) for _ in range(60)])
    for place, counts in enumerate(net.widths.counts):
        assert set(drawn[:, place]) == set(counts.tolist())
    images = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")
    net.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = net.fit(images, np.arange(32) % 4, batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    changed = {
        variable.path.split("/")[-1]: bool((keras.ops.convert_to_numpy(variable) != old).any())
        for variable, old in zip(net.trainable_variables, before, strict=True)
    }
    names = [
        f"{layer}_kernel_{part}" for layer in ("inner", "gate", "back", "grouped") for part in ("w1", "b1", "w2", "b2")
    ]
    assert all(changed[name] for name in names)
    assert not {"inner/kernel", "gate/kernel"} & {v.path for v in net.trainable_variables}
    old = next(each for each in model.layers if isinstance(each, layers.BatchNormalization))
    now = net.body.get_layer(old.name).moving_mean
    assert (keras.ops.convert_to_numpy(now) != keras.ops.convert_to_numpy(old.moving_mean)).any()
    single = net(images[:2], training=False)
    assert np.array_equal(keras.ops.convert_to_numpy(single), outputs(net, images[:2]))  # nothing is drawn in use


def test_weights_come_back_from_a_file(net, model, tmp_path):
    net.save_weights(tmp_path / "net.weights.h5")
    other = kp.papers.pruning_nets.PruningNet(model, hidden=5, seed=9)
    other.load_weights(tmp_path / "net.weights.h5")
    genes = [0] * len(net.widths.names)
    for one, two in zip(net.slim(genes).get_weights(), other.slim(genes).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_where_cropping_is_more_than_not_reading_is_said():
    inputs = keras.Input((6,))
    x = layers.LayerNormalization(name="norm")(layers.Dense(8, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4, name="late")(x)))
    with pytest.raises(kp.PruneError, match=r"'norm' of class LayerNormalization(.|\n)*freeze=\['hidden'\]"):
        kp.papers.pruning_nets.PruningNet(model)
    assert kp.papers.pruning_nets.PruningNet(kp.trace(model, freeze=["hidden"])).widths.names == ["late"]
    for change, message in (
        ({"hidden": 0}, "hidden=0"),
        ({"fractions": (0.5, 2)}, "fraction=2"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            kp.papers.pruning_nets.PruningNet(model, **change)
    net = kp.papers.pruning_nets.PruningNet(kp.trace(model, freeze=["hidden"]))
    with pytest.raises(kp.PruneError, match=r"below \[4\].*Received: \[4\]"):
        net.slim([4])


def test_a_free_image_side_is_asked_for_before_anything_is_trained():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(kp.PruneError, match=r"Expected a size.*kp\.trace\(model, size=32\)"):
        kp.papers.pruning_nets.PruningNet(model)
    assert kp.papers.pruning_nets.PruningNet(kp.trace(model, size=32)).widths.graph.size == 32


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def test_a_step_of_ones_own_and_a_whole_file_are_refused(model, tmp_path):
    with pytest.raises(kp.PruneError, match="whose train_step would not be called"):
        kp.papers.pruning_nets.PruningNet(OwnStep(model.inputs, model.outputs))
    with pytest.raises(kp.PruneError, match="save_weights"):
        kp.papers.pruning_nets.PruningNet(model, hidden=1).save(tmp_path / "net.keras")
