"""The counter against closed forms and published figures, never against itself."""

from __future__ import annotations

import math

import keras
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.surgery.costs.counts import Cost, shares_of


def counted(layer, shape, **kwargs):
    inputs = keras.Input(shape)
    return kp.cost(keras.Model(inputs, layer(inputs)), **kwargs)


@pytest.mark.parametrize(
    "make, shape, params, macs, activations",
    [
        (lambda: layers.Conv2D(8, 3), (10, 12, 3), 3 * 3 * 3 * 8 + 8, 3 * 3 * 3 * 8 * 8 * 10, 8 * 10 * 8),
        (lambda: layers.Conv2D(8, 3, 2, "same"), (11, 12, 3), 216 + 8, 216 * 6 * 6, 6 * 6 * 8),
        (lambda: layers.Conv2D(8, 3, dilation_rate=2, use_bias=False), (10, 12, 3), 216, 216 * 6 * 8, 6 * 8 * 8),
        (lambda: layers.Conv2D(8, 3, groups=2), (10, 12, 4), 3 * 3 * 2 * 8 + 8, 144 * 8 * 10, 8 * 10 * 8),
        (lambda: layers.Conv1D(8, 5), (20, 3), 5 * 3 * 8 + 8, 120 * 16, 16 * 8),
        (lambda: layers.Conv3D(4, 2), (5, 6, 7, 3), 8 * 3 * 4 + 4, 96 * 4 * 5 * 6, 4 * 5 * 6 * 4),
        (lambda: layers.DepthwiseConv2D(3), (10, 12, 4), 9 * 4 + 4, 36 * 8 * 10, 8 * 10 * 4),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (10, 12, 4), 72 + 8, 72 * 8 * 10, 8 * 10 * 8),
        (lambda: layers.Conv2D(4, 3, groups=4), (10, 12, 4), 9 * 4 + 4, 36 * 8 * 10, 8 * 10 * 4),
        (
            lambda: layers.SeparableConv2D(8, 3, depth_multiplier=2),
            (10, 12, 4),
            9 * 8 + 8 * 8 + 8,
            (9 * 8 + 8 * 8) * 8 * 10,
            8 * 10 * 8,
        ),
        # a transposed convolution applies its kernel once at every position of its *input*
        (lambda: layers.Conv2DTranspose(8, 3, 2), (5, 6, 4), 9 * 4 * 8 + 8, 288 * 5 * 6, 11 * 13 * 8),
        (lambda: layers.Dense(8), (6,), 6 * 8 + 8, 48, 8),
        (lambda: layers.Dense(8, use_bias=False), (5, 6), 48, 48 * 5, 40),
        (lambda: layers.EinsumDense("abc,cd->abd", (5, 8)), (5, 6), 48, 48 * 5, 40),
        (lambda: layers.LSTM(7), (5, 6), 4 * 7 * (6 + 7 + 1), 4 * 7 * (6 + 7) * 5, 7),
        (lambda: layers.BatchNormalization(), (5, 6), 4 * 6, 0, 0),
    ],
)
def test_single_layers(make, shape, params, macs, activations):
    found = counted(make(), shape)
    assert (found.params, found.macs, found.activations) == (params, macs, activations)
    assert found.bytes == 4 * params


def test_attention_counts_its_projections():
    """q, k, v and out of 2 heads of size 3 on 5 positions of 4 channels; the products themselves are not counted."""
    inputs = keras.Input((5, 4))
    found = kp.cost(keras.Model(inputs, layers.MultiHeadAttention(2, 3)(inputs, inputs)))
    assert found.params == 3 * (4 * 6 + 6) + 6 * 4 + 4
    assert found.macs == 5 * 4 * (4 * 6)


def resnet_macs(blocks: int, widths=(16, 32, 64), side: int = 32, classes: int = 10, projection: bool = False) -> int:
    """He et al. 2016, section 4.2: 3×3 convolutions only, 6n + 2 layers."""
    total = 9 * 3 * widths[0] * side**2 + widths[-1] * classes
    before = widths[0]
    for stage, width in enumerate(widths):
        positions = (side >> stage) ** 2
        total += 9 * positions * (before * width + (2 * blocks - 1) * width**2)
        total += before * width * positions if projection and stage else 0
        before = width
    return total


@pytest.mark.experiments
@pytest.mark.matrix
@pytest.mark.parametrize("depth", [20, 56])
@pytest.mark.parametrize("shortcut", ["identity", "projection"])
def test_resnet_cifar(depth, shortcut):
    model = kp.models.resnet_cifar(depth=depth, input_shape=(32, 32, 3), shortcut=shortcut)
    found = kp.cost(model)
    assert found.macs == resnet_macs((depth - 2) // 6, projection=shortcut == "projection")
    assert found.params == model.count_params()


def test_resnet_20_is_the_published_40_8_million():
    assert resnet_macs(3) == 40_551_040
    assert resnet_macs(3, projection=True) == 40_813_184


@pytest.mark.matrix
@pytest.mark.parametrize(
    "name, macs",
    [
        ("VGG16", 15_346_630_656),  # Simonyan & Zisserman: 15.5 G with its three dense layers, 123,633,664 of them
        ("MobileNetV2", 300_774_272 - 1280 * 1000),  # Sandler et al., table 4: 300 M
        ("ResNet50", 3_857_973_248 - 2048 * 1000),  # He et al., table 1: 3.8 G
    ],
)
def test_published_networks(name, macs):
    make = getattr(keras.applications, name)
    model = make(weights=None, include_top=False, input_shape=(224, 224, 3))
    found = kp.cost(model)
    assert found.macs == macs
    assert found.params == model.count_params()


def test_shared_layers_cost_macs_at_every_call_and_weights_once():
    inputs = keras.Input((6,))
    dense = layers.Dense(6)
    found = kp.cost(keras.Model(inputs, dense(dense(dense(inputs)))))
    assert (found.params, found.macs, found.activations) == (42, 3 * 36, 18)


def test_nested_models_with_equal_layer_names():
    inner = [keras.Sequential([keras.Input((6,)), layers.Dense(6, name="same")], name=f"part{n}") for n in (1, 2)]
    inputs = keras.Input((6,))
    found = kp.cost(keras.Model(inputs, inner[1](inner[0](inputs))))
    assert (found.params, found.macs) == (84, 72)
    assert [layer.name for layer in found.layers] == ["same", "same"]


def test_bytes_follow_the_stored_type():
    assert counted(layers.Dense(8, dtype="float16"), (6,)).bytes == 2 * 56
    assert counted(layers.Dense(8, dtype="mixed_float16"), (6,)).bytes == 4 * 56
    assert counted(layers.Dense(8, dtype="bfloat16"), (6,)).bytes == 2 * 56


def free_model():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = layers.Conv2D(5, 3, 2, padding="same", name="second")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)), name="free")


def test_resolution_scales_the_positions():
    model = free_model()
    found = {side: kp.cost(model, size=side) for side in (16, 32, 33)}
    assert found[16].macs == 108 * 256 + 180 * 64 + 10
    assert found[32].macs - 10 == 4 * (found[16].macs - 10)
    assert found[33].macs == 108 * 33**2 + 180 * 17**2 + 10
    assert found[16].params == found[32].params == model.count_params()


def test_a_plan_brings_its_resolution():
    model = free_model()
    plan = kp.Plan({"first": [0, 1]}, resolution=16)
    assert kp.cost(model, plan).macs == 54 * 256 + 90 * 64 + 10
    assert kp.cost(model, plan, size=32).macs == 54 * 1024 + 90 * 256 + 10


def test_free_side_without_resolution_is_an_error():
    with pytest.raises(kp.PruneError, match=r"size.*Received: size=None") as error:
        kp.cost(free_model())
    assert "'first'" in str(error.value)


@pytest.mark.parametrize("layer", [layers.LSTM(4), layers.Bidirectional(layers.LSTM(2))], ids=["lstm", "both_ways"])
def test_a_free_length_without_resolution_is_an_error_even_if_only_the_last_step_is_the_output(layer):
    model = keras.Sequential([keras.Input((None, 3)), layer])
    with pytest.raises(kp.PruneError, match=r"size.*Received: size=None"):
        kp.cost(model)
    assert kp.cost(model, size=8).macs == 8 * sum(math.prod(w.shape) for w in layer.weights if w.ndim == 2)


@pytest.mark.parametrize("which", ["states", "stacked", "unknown"])
def test_both_directions_that_are_kept_whole_are_counted(which):
    """A layer whose channels all stay costs what it costs: a target in multiply–adds must see it."""

    @keras.saving.register_keras_serializable("test_cost")
    class Cell(layers.SimpleRNNCell):
        def call(self, *args, **kwargs):
            return super().call(*args, **kwargs)

    inputs = keras.Input((5, 3))
    states = [layers.Dense(4)(inputs[:, 0]) for _ in range(2)] if which == "states" else None
    kinds = {"states": layers.SimpleRNNCell(4), "stacked": [layers.SimpleRNNCell(4), layers.SimpleRNNCell(4)]}
    both = layers.Bidirectional(layers.RNN(kinds.get(which, Cell(4)), return_sequences=True), name="both")
    graph = kp.trace(keras.Model(inputs, layers.Dense(2)(both(inputs, initial_state=states))))
    (found,) = (each for each in kp.cost(graph).layers if each.name == "both")
    expected = 5 * sum(math.prod(w.shape) for w in both.weights if w.ndim == 2)
    assert (found.macs, found.estimated) == ((0, expected) if which == "unknown" else (expected, 0))


def test_resolution_of_a_fixed_model_is_an_error():
    with pytest.raises(kp.PruneError, match="Received: size=16"):
        counted(layers.Conv2D(4, 3), (8, 8, 3), size=16)


def test_absorbed_biases_are_counted():
    inputs = keras.Input((6,))
    x = layers.Dense(4, name="hidden", bias_initializer="ones")(inputs)
    model = keras.Model(inputs, layers.Dense(3, use_bias=False, name="logits")(x))
    plan = kp.Plan({"hidden": [0, 1]})
    assert kp.cost(model, plan).params == 6 * 2 + 2 + 2 * 3
    assert kp.cost(model, plan, absorb=True).params == 6 * 2 + 2 + 2 * 3 + 3
    assert kp.cost(model, plan, absorb=True).bytes == 4 * 23


def test_cost_of_a_graph_is_the_cost_of_its_model():
    model = free_model()
    assert kp.cost(kp.trace(model), size=16) == kp.cost(model, size=16)
    assert kp.cost(kp.trace(model, size=16)) == kp.cost(model, size=16)


@pytest.mark.experiments
def test_layers_sum_to_the_total():
    found = kp.cost(kp.models.lenet_5())
    for key in ("params", "macs", "activations", "bytes"):
        assert sum(getattr(layer, key) for layer in found.layers) == getattr(found, key)
    assert found.layers[0].kind == "Conv2D"


def test_shares_are_of_the_dense_model_and_of_nothing_nothing():
    def costs(params, macs):
        return Cost(params=params, macs=macs, activations=0, bytes=0)

    assert shares_of(costs(30, 6), costs(120, 24)) == {"params": 0.25, "macs": 0.25}
    assert shares_of(costs(30, 0), costs(120, 0)) == {"params": 0.25, "macs": 0.0}
    assert shares_of(costs(120, 24), costs(30, 6), ["macs"]) == {"macs": 4.0}
