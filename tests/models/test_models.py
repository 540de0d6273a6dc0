"""The model families against published figures, and against what saved plans and exports need of them."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasprune
from kerasprune import models
from kerasprune.errors import PruneError
from kerasprune.graph.trace import trace
from kerasprune.models.parts import Parts

PARTS = [f"attention/{part}" for part in ("heads", "key_dim", "value_dim")]
# Trainable parameters. BatchNorm's moving statistics are not among them, as in torch.
EXACT_PARAMETERS = [
    # torchvision's table of classification models (ResNet*_Weights, MobileNet_V2_Weights, …: num_params).
    ({"name": "resnet_imagenet", "depth": 18}, 11_689_512),
    ({"name": "resnet_imagenet", "depth": 34}, 21_797_672),
    ({"name": "resnet_imagenet"}, 25_557_032),
    ({"name": "resnet_imagenet", "depth": 101}, 44_549_160),
    ({"name": "mobilenet_v2"}, 3_504_872),
    ({"name": "mobilenet_v2", "stem": "cifar"}, 3_504_872),  # strides have no parameters
    ({"name": "mobilenet_v2", "stem": "cifar_stride2"}, 3_504_872),
    ({"name": "efficientnet_b0"}, 5_288_548),
    ({"name": "densenet121"}, 7_978_856),
    # The 11.0 M of Zagoruyko & Komodakis 2016, table 5: convolutions 10,949,040, BatchNorms 7,200, logits 5,130.
    ({"name": "wide_resnet", "depth": 16, "widen_factor": 8}, 10_961_370),
    # 784·300 + 300·100 + 100·10 weights ("266K": Frankle & Carbin 2019, figure 2) and 410 biases.
    ({"name": "lenet_300_100"}, 266_610),
    # Caffe's lenet.prototxt: 520 + 25,050 + 400,500 + 5,010; "431K" in Han et al. 2015, table 1.
    ({"name": "lenet_5"}, 431_080),
    # 28·128 + 128 before the recurrent layer, 4 or 3 gates of 256·128, 4·128 or 6·128 biases, 1,290 in the classifier.
    ({"name": "lstm_rows"}, 136_586),
    ({"name": "gru_rows"}, 104_074),
]
# Weights and biases without BatchNorm: Lee et al., SNIP, ICLR 2019, table 2 (5.1m, 8.5m, 10.5m, 15.2m, 15.0m) and code.
SNIP_PARAMETERS = [
    ({"name": "alexnet_cifar"}, 5_070_218),
    ({"name": "alexnet_cifar", "units": 2048}, 8_490_378),
    ({"name": "vgg_snip", "version": "C"}, 10_526_538),
    ({"name": "vgg_snip", "version": "D"}, 15_245_130),
    ({"name": "vgg_snip", "version": "like"}, 14_982_474),
    ({"name": "lstm_rows", "units": 256}, 535_306),
    ({"name": "gru_rows", "units": 256}, 404_746),
]
MILLIONS_OF_PARAMETERS = [
    # He et al. 2016, table 6.
    ({"name": "resnet_cifar"}, 0.27, 2),
    ({"name": "resnet_cifar", "depth": 32}, 0.46, 2),
    ({"name": "resnet_cifar", "depth": 44}, 0.66, 2),
    ({"name": "resnet_cifar", "depth": 56}, 0.85, 2),
    ({"name": "resnet_cifar", "depth": 110}, 1.7, 1),
    # Wang et al., Neural Pruning via Growing Regularization, ICLR 2021.
    ({"name": "vgg_cifar", "depth": 19, "classes": 100}, 20.08, 2),
    # Huang et al. 2017, table 2.
    ({"name": "densenet_cifar"}, 1.0, 1),
    ({"name": "densenet_cifar", "depth": 100}, 7.0, 1),
    ({"name": "densenet_cifar", "depth": 100, "bottleneck": 4, "compression": 0.5}, 0.8, 1),
    # Zagoruyko & Komodakis 2016, table 5.
    ({"name": "wide_resnet", "depth": 16, "widen_factor": 8}, 11.0, 1),
    ({"name": "wide_resnet", "depth": 40, "widen_factor": 4}, 8.9, 1),
    ({"name": "wide_resnet"}, 36.5, 1),
]
MILLIONS_OF_MACS = [
    # Stem 0.44, stages 14.16, 12.98 and 12.98; two 1×1 shortcuts add 16·32·16² + 32·64·8² = 0.26.
    ({"name": "resnet_cifar", "depth": 20}, 32, 40.6),
    ({"name": "resnet_cifar", "depth": 20, "shortcut": "projection"}, 32, 40.8),
    # Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017, table 1: 1.25E8, 2.53E8, 3.13E8.
    ({"name": "resnet_cifar", "depth": 56}, 32, 125.5),
    ({"name": "resnet_cifar", "depth": 110}, 32, 252.9),
    ({"name": "vgg_cifar", "depth": 16}, 32, 313.2),
    # HRank, CVPR 2020, table 4: 282.00 M; the stem of DenseNet's own paper gives 264.8.
    ({"name": "densenet_cifar", "stem": 24}, 32, 282.9),
    ({"name": "densenet_cifar"}, 32, 264.8),
    # Wang et al. 2021: 0.80 GFLOPs, at two per multiply–add.
    ({"name": "vgg_cifar", "depth": 19, "classes": 100}, 32, 398.2),
    # torchvision's table of classification models (GFLOPS): 1.81, 4.09, 0.30.
    ({"name": "resnet_imagenet", "depth": 18}, 224, 1814.1),
    ({"name": "resnet_imagenet", "depth": 50}, 224, 4089.2),
    ({"name": "mobilenet_v2"}, 224, 300.8),
    # Han et al., TinyNets, NeurIPS 2020: 202 M and 100 M.
    ({"name": "efficientnet_b0", "width": 0.75, "depth": 1.1}, 188, 200.7),
    ({"name": "efficientnet_b0", "width": 0.54, "depth": 0.85}, 184, 99.5),
]
ROWS = [{"name": "lstm_rows"}, {"name": "gru_rows"}]
SMALL = [
    {"name": "alexnet_cifar", "units": 16},
    {"name": "densenet_cifar", "depth": 10},
    {"name": "densenet_cifar", "depth": 16, "bottleneck": 4, "compression": 0.5},
    {"name": "efficientnet_b0", "classes": 5},
    {"name": "mobilenet_v2", "classes": 5, "stem": "cifar", "width": 0.25},
    {"name": "resnet_cifar", "depth": 8},
    {"name": "resnet_cifar", "depth": 8, "shortcut": "projection", "width": 0.5},
    {"name": "resnet_imagenet", "depth": 18, "classes": 5},
    {"name": "vgg_cifar", "depth": 16, "width": 0.25},
    {"name": "vgg_snip", "version": "C", "width": 0.25},
    {"name": "wide_resnet", "depth": 10, "widen_factor": 2},
]
BAD_ARGUMENTS = [
    ({"name": "resnet_cifar", "depth": 21}, "nearest are 20 and 26"),
    ({"name": "resnet_cifar", "depth": 2}, "nearest are 8 and 14"),
    ({"name": "resnet_cifar", "depth": "20"}, "6n \\+ 2.*depth='20'"),
    ({"name": "resnet_cifar", "shortcut": "padding"}, "'identity', 'projection'.*shortcut='padding'"),
    ({"name": "resnet_cifar", "width": 0}, "width=0"),
    ({"name": "resnet_cifar", "seed": 0.5}, "seed=0.5"),
    ({"name": "resnet_imagenet", "depth": 20}, "nearest are 18 and 34"),
    ({"name": "vgg_cifar", "depth": 18}, "nearest are 16 and 19"),
    ({"name": "vgg_cifar", "input_shape": (8, 8, 3)}, "at least 16 pixels"),
    ({"name": "densenet_cifar", "depth": 41}, "3n \\+ 4.*nearest are 40 and 43"),
    ({"name": "densenet_cifar", "depth": 43, "bottleneck": 4}, "6n \\+ 4.*nearest are 40 and 46"),
    ({"name": "densenet_cifar", "growth": 0}, "growth=0"),
    ({"name": "densenet_cifar", "stem": 0}, "stem=0"),
    ({"name": "vgg_cifar", "scales": "normal"}, "'ones', 'uniform'.*scales='normal'"),
    ({"name": "densenet_cifar", "bottleneck": 0}, "bottleneck=0"),
    ({"name": "densenet_cifar", "compression": 1.5}, "compression=1.5"),
    ({"name": "wide_resnet", "depth": 20}, "6n \\+ 4.*nearest are 16 and 22"),
    ({"name": "wide_resnet", "widen_factor": 1.5}, "widen_factor=1.5"),
    ({"name": "mobilenet_v2", "stem": "tiny"}, "'imagenet', 'cifar', 'cifar_stride2'"),
    ({"name": "mobilenet_v2", "dropout": 1}, "dropout=1"),
    ({"name": "lenet_300_100", "input_shape": (None, None, 1)}, "fixed sides"),
    ({"name": "lenet_5", "input_shape": (12, 12, 1)}, "at least 16 pixels"),
    ({"name": "efficientnet_b0", "input_shape": (16, 16, 3)}, "at least 32 pixels"),
    ({"name": "efficientnet_b0", "width": 0, "depth": -1}, "width=0(?s:.*)depth=-1"),
    ({"name": "alexnet_cifar", "units": 0}, "units=0"),
    ({"name": "vgg_snip", "version": "B"}, "'C', 'D', 'like'.*version='B'"),
    ({"name": "vgg_snip", "input_shape": (16, 16, 3)}, "at least 32 pixels"),
    ({"name": "lstm_rows", "input_shape": (None, 28, 1)}, "fixed sides"),
    ({"name": "gru_rows", "units": 1.5}, "units=1.5"),
    ({"name": "resnet_cifer"}, "Did you mean 'resnet_cifar'"),
    ({"name": "resnet_cifar", "dept": 20}, "dept"),
    ({"depth": 20}, "a dict with a 'name'"),
    (20, "keras.Model"),
]


@functools.cache
def _built(key: str) -> keras.Model:
    return models.get(json.loads(key))


def built(identifier: dict) -> keras.Model:
    """Builds a model once for all tests that only look at it."""
    return _built(json.dumps(identifier))


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def macs(model: keras.Model) -> int:
    """Kernel size times output positions, over convolution and dense layers of a model with fixed sides."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:-1]))
    return total


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def with_statistics(model: keras.Model) -> keras.Model:
    """Gives BatchNorm values that are not the initial ones, so that outputs depend on them."""
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.mark.matrix("identifier0-11689512", "identifier2-25557032", "identifier9-10961370")  # basic blocks, bottlenecks
@pytest.mark.parametrize(("identifier", "expected"), EXACT_PARAMETERS)
def test_parameters_are_the_published_number(identifier, expected):
    assert trainable(built(identifier)) == expected


@pytest.mark.matrix("identifier0-5070218", "identifier2-10526538", "identifier5-535306", "identifier6-404746")
@pytest.mark.parametrize(("identifier", "expected"), SNIP_PARAMETERS)
def test_weights_and_biases_are_the_published_number(identifier, expected):
    norms = [layer for layer in built(identifier).layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert trainable(built(identifier)) - sum(2 * int(layer.gamma.shape[0]) for layer in norms) == expected


@pytest.mark.matrix("identifier0-0.27-2", "identifier9-11.0-1")
@pytest.mark.parametrize(("identifier", "expected", "digits"), MILLIONS_OF_PARAMETERS)
def test_parameters_round_to_the_published_figure(identifier, expected, digits):
    assert round(trainable(built(identifier)) / 1e6, digits) == expected


@pytest.mark.matrix
@pytest.mark.parametrize(("identifier", "side", "expected"), MILLIONS_OF_MACS)
def test_macs_round_to_the_published_figure(identifier, side, expected):
    model = models.get({**identifier, "input_shape": (side, side, 3)})
    assert round(macs(model) / 1e6, 1) == expected


def test_names_are_the_registered_families():
    assert models.names() == [
        "alexnet_cifar",
        "densenet121",
        "densenet_cifar",
        "efficientnet_b0",
        "fcos",
        "gru_rows",
        "lenet_300_100",
        "lenet_5",
        "lstm_rows",
        "mobilenet_v2",
        "resnet_cifar",
        "resnet_imagenet",
        "unet",
        "vgg_cifar",
        "vgg_snip",
        "vit",
        "wide_resnet",
    ]


@pytest.mark.matrix("resnet_cifar", "mobilenet_v2")
@pytest.mark.parametrize("name", [name for name in models.names() if name != "fcos"])  # which ends in two outputs
def test_every_family_builds_with_own_layer_names(name):
    first, second = built({"name": name}), models.get({"name": name, "classes": 7})
    layers = [layer.name for layer in first.layers]
    assert len(set(layers)) == len(layers)
    assert layers == [layer.name for layer in second.layers]
    for layer in first.layers:
        stem = re.sub(r"_\d+$", "", layer.name).replace("_", "")
        assert stem not in (type(layer).__name__.lower(), "input", "keras_tensor"), layer.name
    assert (layers[0], layers[-1]) == ("images", "logits")
    assert second.output.shape[-1] == 7
    assert first.layers[-1].activation is keras.activations.linear
    assert not any(isinstance(layer, keras.Model) for layer in first.layers)


def test_a_transformer_on_the_first_stages_of_a_trained_network():
    """They make what they made, stay as they are, and every head, size and unit behind them can be cut."""
    path = Path(kerasprune.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    trained = keras.models.load_model(path)
    model = models.vit(7, stem="checkpoints/glyphs-base.keras", blocks=2, width=24, heads=3, seed=0)
    end = "stage2_block3_relu2"
    stage, before = (keras.Model(each.inputs, each.get_layer(end).output) for each in (model, trained))
    x = images(2, 32, 32, 3)
    np.testing.assert_allclose(np.asarray(stage(x)), np.asarray(before(x, training=False)), rtol=1e-5, atol=1e-5)
    assert not any(layer.trainable_variables for layer in stage.layers)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    groups = trace(model, freeze=["stem*", "stage*"]).prunable
    assert set(groups) == {"patches", *(f"block{n}_{part}" for n in (1, 2) for part in ("dense1", *PARTS))}
    with pytest.raises(PruneError, match="Did you mean 'stage2_block3_relu2'"):
        models.vit(7, stem=str(path), stem_end="stage2_block3_relu")


def test_parameters_of_a_transformer_are_those_of_its_formula():
    width, blocks, hidden = 48, 3, 4
    block = 4 * width * (width + 1) + 2 * hidden * width**2 + (hidden + 1) * width + 4 * width
    rest = 3 * 16 * width + width + 10 * width + 2 * width + 10 * (width + 1)
    assert models.vit(10, blocks=blocks, width=width, heads=4, patch=4).count_params() == blocks * block + rest


def test_a_model_passes_through():
    model = models.lenet_300_100()
    assert models.get(model) is model


@pytest.mark.thorough
@pytest.mark.parametrize("identifier", SMALL)
def test_two_resolutions_and_a_plain_keras_file(identifier, tmp_path):
    model = with_statistics(models.get(identifier))
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path, safe_mode=True)
    for shape in ((2, 32, 32, 3), (1, 41, 56, 3)):
        logits = np.asarray(model(images(*shape), training=False))
        assert logits.shape == (shape[0], model.output.shape[-1])
        assert np.ptp(logits) > 0
        np.testing.assert_array_equal(np.asarray(loaded(images(*shape), training=False)), logits)


@pytest.mark.matrix
@pytest.mark.parametrize("identifier", [*SMALL[2:6], *SMALL[8:10], {"name": "lenet_5"}, *ROWS])
def test_weights_are_a_function_of_the_seed(identifier):
    kernels = [
        {weight.path: np.asarray(weight) for weight in models.get({**identifier, "seed": seed}).weights}
        for seed in (3, 3, 4)
    ]
    for path, kernel in kernels[0].items():
        np.testing.assert_array_equal(kernel, kernels[1][path])
        if path.endswith("kernel"):
            assert not np.array_equal(kernel, kernels[2][path])
    same_shape: dict[tuple, list[np.ndarray]] = {}
    for path, kernel in kernels[0].items():
        if path.endswith("kernel"):
            assert not any(np.array_equal(kernel, other) for other in same_shape.setdefault(kernel.shape, []))
            same_shape[kernel.shape].append(kernel)


def test_weights_are_fresh_without_a_seed():
    first, second = (models.lenet_5().get_layer("conv1").get_weights()[0] for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.matrix
@pytest.mark.parametrize("family", ["resnet_cifar", "vgg_cifar"])
def test_scales_are_all_one_or_drawn_evenly_from_0_to_1(family):
    depth = {"resnet_cifar": 20, "vgg_cifar": 16}[family]

    def scales(**arguments):
        model = models.get({"name": family, "depth": depth, "seed": 0, **arguments})
        return np.concatenate([np.asarray(v) for v in model.trainable_variables if v.name == "gamma"])

    drawn = scales(scales="uniform")
    assert (scales() == 1).all() and 0 <= drawn.min() < 0.05 and 0.95 < drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.03) and drawn.std() == pytest.approx(12**-0.5, abs=0.02)
    np.testing.assert_array_equal(drawn, scales(scales="uniform"))


def test_kernels_are_he_normal():
    model = models.resnet_cifar(20, seed=0)
    kernel = np.asarray(model.get_layer("stage3_block2_conv1").kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    kernel = np.asarray(models.mobilenet_v2(seed=0).get_layer("stage6_block2_depthwise_conv").kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / 9), rel=0.05)


@pytest.mark.thorough
def test_an_efficientnet_of_width_and_depth_1_is_that_of_keras():
    theirs = keras.applications.EfficientNetB0(weights=None, include_top=False)
    shapes = [tuple(variable.shape) for variable in theirs.trainable_variables]
    ours = built({"name": "efficientnet_b0"}).trainable_variables[:-2]
    assert [tuple(variable.shape) for variable in ours] == shapes


@pytest.mark.parametrize("name", ["alexnet_cifar", "vgg_snip"])
def test_one_pixel_is_left_of_32_and_every_layer_of_snip_has_a_bias(name):
    model = models.get({"name": name, "input_shape": (32, 32, 3)})
    assert model.get_layer("pool").input.shape[1:] == (1, 1, 256 if name == "alexnet_cifar" else 512)
    with_kernel = [each for each in model.layers if isinstance(each, keras.layers.Conv2D | keras.layers.Dense)]
    assert len(with_kernel) == {"alexnet_cifar": 8, "vgg_snip": 16}[name] and all(each.use_bias for each in with_kernel)


@pytest.mark.parametrize("name", ["lstm_rows", "gru_rows"])
def test_a_step_of_a_recurrent_network_is_a_row_of_pixels(name):
    model = models.get({"name": name, "units": 8, "input_shape": (5, 4, 2), "seed": 0})
    x = images(1, 5, 4, 2)
    steps = keras.Model(model.input, model.get_layer("embedded").output)
    kernel, bias = model.get_layer("embedded").get_weights()
    np.testing.assert_allclose(np.asarray(steps(x))[0], x[0].reshape(5, 8) @ kernel + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["densenet_cifar", "mobilenet_v2", "resnet_cifar", "vgg_cifar"])
def test_batch_norm_is_that_of_torch_and_convolutions_before_it_have_no_bias(name):
    model = built({"name": name})
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-5)}
    convolutions = keras.layers.Conv2D | keras.layers.DepthwiseConv2D
    assert not any(layer.use_bias for layer in model.layers if isinstance(layer, convolutions))


@pytest.mark.parametrize("side", [32, 33])
def test_identity_shortcut_takes_every_second_pixel_and_pads_channels_on_both_ends(side):
    model = models.resnet_cifar(8, input_shape=(side, side, 3), seed=0)
    before = model.get_layer("stage1_block1_relu2").output
    after = model.get_layer("stage2_block1_shortcut_pad").output
    x, shortcut = (np.asarray(t) for t in keras.Model(model.input, [before, after])(images(2, side, side, 3)))
    expected = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (8, 8)))
    np.testing.assert_array_equal(shortcut, expected)


@pytest.mark.parametrize("side", [8, 9])
def test_strided_convolution_is_centred_on_the_pixels_the_shortcut_takes(side):
    inputs = keras.Input((side, side, 1))
    outputs = Parts(seed=None).convolution(inputs, 1, 3, "conv", strides=2)
    model = keras.Model(inputs, outputs)
    centre = np.zeros((3, 3, 1, 1), "float32")
    centre[1, 1] = 1
    model.get_layer("conv").set_weights([centre])
    x = images(1, side, side, 1)
    np.testing.assert_array_equal(np.asarray(model(x)), x[:, ::2, ::2])


@pytest.mark.parametrize("side", [224, 223, 129])
def test_imagenet_sides_follow_the_arithmetic_of_torch(side):
    model = models.resnet_imagenet(18, classes=2, input_shape=(side, side, 3))
    strided = ("stem_conv", "stem_pool", "stage2_block1_add", "stage3_block1_add", "stage4_block1_add")
    for name, kernel in zip(strided, (7, 3, 3, 3, 3), strict=True):
        side = (side + 2 * (kernel // 2) - kernel) // 2 + 1
        assert model.get_layer(name).output.shape[1:3] == (side, side)


@pytest.mark.thorough
def test_the_stride_of_a_bottleneck_sits_in_its_3x3_convolution():
    model = models.resnet_imagenet(50, classes=2)
    strides = [model.get_layer(f"stage2_block1_conv{number}").strides for number in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize(
    ("stem", "sides"),
    [
        ("imagenet", [16, 16, 8, 4, 2, 2, 1, 1]),
        ("cifar", [32, 32, 32, 16, 8, 8, 4, 4]),
        ("cifar_stride2", [16, 16, 16, 8, 4, 4, 2, 2]),
    ],
)
def test_mobilenet_stem_says_how_often_32_pixels_are_halved(stem, sides):
    model = models.mobilenet_v2(2, (32, 32, 3), stem=stem, width=0.25)
    names = ("stem_conv", *(f"stage{stage}_block1_project_conv" for stage in range(1, 8)))
    assert [model.get_layer(name).output.shape[1] for name in names] == sides


def test_mobilenet_width_rounds_channels_to_multiples_of_8():
    # keras.applications.MobileNetV2(alpha=0.35) in its first stages: 16, 8, 8, 16, 24.
    model = models.mobilenet_v2(2, width=0.35)
    names = ("stem_conv", *(f"stage{stage}_block1_project_conv" for stage in range(1, 5)))
    assert [model.get_layer(name).filters for name in names] == [16, 8, 8, 16, 24]
    assert model.get_layer("head_conv").filters == 1280


@pytest.mark.thorough
def test_mobilenet_equals_keras_applications_weight_for_weight():
    ours = with_statistics(models.mobilenet_v2(10, (64, 64, 3), seed=0))
    theirs = keras.applications.MobileNetV2((64, 64, 3), weights=None, classes=10, classifier_activation=None)
    theirs.set_weights(ours.get_weights())
    # The two known differences: BatchNorm's epsilon, and zeros on every side instead of below and right.
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 1e-5
    for layer in ours.layers:
        if isinstance(layer, keras.layers.ZeroPadding2D):
            layer.padding = ((0, 1), (0, 1))
    x = images(2, 64, 64, 3)
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(theirs(x)), rtol=1e-4, atol=1e-4)


@pytest.mark.thorough
def test_applications_keep_the_function_but_not_the_rescaling():
    ours = with_statistics(models.efficientnet_b0(10, (64, 64, 3), seed=0))
    theirs = keras.applications.EfficientNetB0(
        input_shape=(64, 64, 3), weights=None, classes=10, classifier_activation=None
    )
    normalisation = theirs.get_layer(index=2)
    assert isinstance(normalisation, keras.layers.Normalization)
    theirs.set_weights([*normalisation.get_weights(), *ours.get_weights()])
    x = images(2, 64, 64, 3)
    expected = np.asarray(theirs(255 * x))
    np.testing.assert_allclose(np.asarray(ours(x)), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.thorough
def test_initial_weights_train():
    keras.utils.set_random_seed(0)
    model = models.resnet_cifar(20, input_shape=(16, 16, 3), seed=0)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    labels = np.random.default_rng(0).integers(0, 10, 128)
    history = model.fit(images(128, 16, 16, 3), labels, batch_size=64, epochs=8, verbose=0)
    losses = history.history["loss"]
    assert losses[0] < 5
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.thorough
def test_saved_model_with_free_sides_equals_the_model(tmp_path):
    model = with_statistics(models.resnet_cifar(8, seed=0))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    for shape in ((2, 32, 32, 3), (1, 48, 40, 3)):
        expected = np.asarray(model(images(*shape)))
        np.testing.assert_allclose(np.asarray(served.serve(images(*shape))), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.thorough
def test_tflite_of_the_identity_shortcut_equals_the_model(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = with_statistics(models.resnet_cifar(20, input_shape=(32, 32, 3), seed=0))
    path = tmp_path / "model.tflite"
    model.export(path, format="litert", verbose=False)
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    x = images(1, 32, 32, 3)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    expected = np.asarray(model(x))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("identifier", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(identifier, message):
    with pytest.raises(PruneError, match=f"(?s){message}"):
        models.get(identifier)


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("fault", [{"classes": 0}, {"classes": 2.5}, {"input_shape": (32, 32)}])
def test_bad_classes_and_shapes_are_named_by_every_family(name, fault):
    argument, value = next(iter(fault.items()))
    with pytest.raises(PruneError, match=re.escape(f"Received: {argument}={value!r}")):
        models.get({"name": name, **fault})


def test_all_faults_are_gathered():
    with pytest.raises(PruneError) as error:
        models.resnet_cifar(21, classes=0, input_shape=(0, 32, 3), shortcut="none", width=-1, seed="x")
    for argument in (
        "depth=21",
        "classes=0",
        "input_shape=(0, 32, 3)",
        "shortcut='none'",
        "width=-1",
        "seed='x'",
    ):
        assert f"Received: {argument}" in str(error.value)
