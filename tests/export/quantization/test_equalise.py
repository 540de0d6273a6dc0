"""Scales moved between layers, against the function and the paper's condition; biases, against files in int8."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.random_models import random_model

import kerasprune as kp
from kerasprune.export.quantization.rounded_layers import kernel_of
from kerasprune.export.quantization.rounding import rounded_kernel
from kerasprune.testing.randomness import random_inputs


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def randomised(model, seed=0):
    """Non-trivial statistics and biases, and channels whose ranges differ a hundredfold."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name in ("gamma", "moving_variance"):
            sign = generator.choice([-1, 1], shape) if variable.name == "gamma" else 1
            variable.assign(sign * 10 ** generator.uniform(-1, 1, shape))
        elif len(shape) == 1:
            variable.assign(generator.normal(size=shape))
        elif "kernel" in variable.name:
            variable.assign(numbers(variable) * 10 ** generator.uniform(-1, 1, shape[-1]))
    return model


def image(width=3, shape=(8, 8)):
    return keras.Input((*shape, width))


def residual():
    i = image()
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", name="stem")(i)))
    y = layers.ReLU()(
        layers.BatchNormalization(center=False)(layers.Conv2D(5, 3, padding="same", use_bias=False, name="a")(x))
    )
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", name="b")(y))
    x = layers.ReLU()(x + y)
    x = layers.Conv2D(4, 3, activation="leaky_relu", name="c")(x)
    return keras.Model(i, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))


def separable():
    i = image()
    x = layers.Conv2D(6, 3, activation="relu", name="stem")(i)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(layers.ZeroPadding2D()(x))
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(2)(layers.Conv2D(5, 1, name="pw")(x))
    x = layers.Conv2DTranspose(4, 3, strides=2, activation="relu", name="up")(x)
    return keras.Model(i, layers.Dense(3, name="logits")(layers.Dropout(0.5)(layers.Flatten()(x))))


def branches():
    """Two that read; a softmax and the outputs see others; a concatenation is not passed."""
    i = image()
    x = layers.Conv2D(6, 3, activation="relu", name="stem")(i)
    one, other = layers.Conv2D(4, 3, name="one")(x), layers.Conv2D(4, 3, name="other")(x)
    seen = layers.Conv2D(3, 1, name="seen")(one)
    joined = layers.Concatenate()([one, other])
    logits = layers.Dense(3, activation="softmax", name="logits")(
        layers.Flatten()(layers.Conv2D(2, 1, name="j")(joined))
    )
    return keras.Model(i, [logits, seen, layers.Conv2D(2, 1, name="last")(seen)])


def shared():
    """A layer that is called twice is at no end of a pair; a nested model is left."""
    a, b = keras.Input((4,)), keras.Input((4,))
    twice, inside = layers.Dense(5, "relu", name="twice"), keras.Input((5,))
    nested = keras.Sequential([inside, layers.Dense(6, "relu", name="n1"), layers.Dense(5, name="n2")])
    x = layers.Dense(4, "relu", name="first")(a)
    x = nested(layers.Subtract()([twice(x), twice(b)]))
    return keras.Model([a, b], layers.Dense(3, name="logits")(layers.Dense(7, name="h")(x)))


def groups_and_others():
    i = image(4)
    x = layers.Conv2D(6, 3, activation="relu", name="stem")(i)
    x = layers.Conv2D(6, 3, groups=2, name="grouped", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="gelu", name="dw")(x)
    x = layers.Conv2D(4, 1, activation="relu", name="pw")(x)
    x = layers.Reshape((-1, 4))(x)
    x = layers.Permute((2, 1))(x)
    return keras.Model(i, layers.Dense(3, name="logits")(x))


PAIRS = {
    residual: ["a b", "c logits"],
    separable: ["stem dw", "dw pw", "pw up", "up logits"],
    branches: ["stem one other", "j logits"],
    shared: ["n1 n2", "h logits"],
    groups_and_others: ["grouped dw"],
}


@pytest.mark.jax
@pytest.mark.parametrize(("make", "expected"), PAIRS.items(), ids=lambda each: getattr(each, "__name__", None))
def test_the_function_stays_and_ranges_are_even(make, expected):
    keras.utils.set_random_seed(0)
    model = randomised(make())
    before = [numbers(v).copy() for v in model.variables]
    new = kp.quantization.equalise(model)
    assert all(np.array_equal(a, numbers(v)) for a, v in zip(before, model.variables, strict=True))
    x = [np.random.default_rng(1).normal(size=(8, *each.shape[1:])).astype("float32") for each in model.inputs]
    assert_same(model, new, x if len(x) > 1 else x[0])
    kernels = {each.name: folded(new, each.name) for each in new._flatten_layers() if hasattr(each, "kernel")}
    old = {name: folded(model, name) for name in kernels}
    touched = {name for pair in expected for name in pair.split()}
    for name in kernels:  # all that are no ends are as they were
        assert (name in touched) == (not np.allclose(kernels[name], old[name], rtol=1e-6)), name
    for pair in expected:
        first, *others = pair.split()
        made = kernels[first]
        made = np.abs(made).reshape(-1, *made.shape[-2:]).max(0)
        number = {"up": 4, "pw": 5, "dw": 6}.get(first, made.shape[-1]) if make is separable else made.shape[-1]
        made = (made if first == "up" else made.T).reshape(number, -1).max(1)
        read = np.max([reading(kernels[name], number, name) for name in others], axis=0)
        assert np.abs(np.log(made / read)).max() < 0.1, pair


def assert_same(model, new, x):
    for a, b in zip(*(keras.tree.flatten(each(x, training=False)) for each in (model, new)), strict=True):
        assert np.abs(numbers(a) - numbers(b)).max() <= 1e-5 * max(np.abs(numbers(a)).max(), 1e-6)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
def test_random_models_compute_the_same():
    found = 0
    for seed in range(30):
        model = random_model(seed)
        new = kp.quantization.equalise(model)
        assert_same(model, new, random_inputs(model, 8, 0))
        found += any(
            not np.array_equal(numbers(a), numbers(b)) for a, b in zip(model.weights, new.weights, strict=True)
        )
    assert found >= 5


def folded(model, name):
    """The kernel with the BatchNorm behind it, in numbers, channels made last."""
    by_name = {each.name: each for each in model._flatten_layers()}
    layer = by_name[name]
    behind = [node.operation for node in layer._outbound_nodes]
    kernel = numbers(layer.kernel)
    if len(behind) != 1 or not isinstance(behind[0], layers.BatchNormalization):
        return kernel
    norm = behind[0]
    scale = numbers(norm.gamma) / np.sqrt(numbers(norm.moving_variance) + norm.epsilon)
    return kernel * (scale[:, None] if isinstance(layer, layers.DepthwiseConv2D) else scale)


def reading(kernel, number, name):
    """The largest weight that reads each channel; of a dense layer behind Flatten, over the positions."""
    if kernel.ndim == 2:
        return np.abs(kernel).reshape(-1, number, kernel.shape[-1]).max((0, 2))
    axis = 3 if name == "up" else 2
    return np.abs(kernel).max(tuple(each for each in range(4) if each != axis))


def test_what_relu6_clips_is_named_and_stays():
    i = image()
    x = layers.ReLU(6.0)(layers.Conv2D(4, 3, name="clipped")(i))
    model = randomised(keras.Model(i, layers.Dense(2)(layers.Flatten()(x))))
    with pytest.warns(UserWarning, match="relu6 after clipped, whose"):
        new = kp.quantization.equalise(model)
    assert all(np.array_equal(numbers(a), numbers(b)) for a, b in zip(model.weights, new.weights, strict=True))


def test_channels_of_zeros_stay_finite():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2, name="out")])
    kernel = numbers(model.layers[0].kernel).copy()
    kernel[:, 1] = 0
    model.layers[0].kernel.assign(kernel)
    new = kp.quantization.equalise(model)
    assert all(np.isfinite(numbers(v)).all() for v in new.weights)
    assert np.array_equal(numbers(new.get_layer("out").kernel)[1], numbers(model.layers[1].kernel)[1])


# ---- biases ---------------------------------------------------------------------------------------------------


@pytest.mark.jax
def test_biases_keep_the_means_of_rounded_kernels():
    keras.utils.set_random_seed(0)
    i = image()
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="biased")(i)
    x = layers.BatchNormalization(name="norm")(layers.DepthwiseConv2D(3, use_bias=False, name="dw")(x))
    x = layers.Flatten()(layers.ReLU()(x))
    model = randomised(keras.Model(i, layers.Dense(3, use_bias=False, name="bare")(x)))
    x = np.random.default_rng(0).normal(1.0, size=(300, 8, 8, 3)).astype("float32")
    new = kp.quantization.correct_biases(model, x)
    probe = {name: keras.Model(model.input, model.get_layer(name).input) for name in ("biased", "dw")}
    for name, behind in {"biased": "biased", "dw": "norm"}.items():
        layer, corrected = model.get_layer(name), new.get_layer(name)
        fed = probe[name].predict(x, verbose=0)
        rounded = numbers(rounded_kernel(*kernel_of(layer)))

        def pre(kernel, bias, fed=fed, layer=layer):
            copy = type(layer).from_config(layer.get_config() | {"activation": "linear"})
            copy.build(fed.shape)
            copy.set_weights([kernel, *([bias] if bias is not None else [])])
            return numbers(copy(fed)).mean((0, 1, 2))

        wanted = pre(numbers(layer.kernel), numbers(layer.bias) if layer.use_bias else None)
        found = pre(rounded, numbers(corrected.bias) if layer.use_bias else None)
        if not layer.use_bias:
            wanted = wanted - numbers(model.get_layer(behind).moving_mean)
            found = found - numbers(new.get_layer(behind).moving_mean)
        without = pre(rounded, numbers(layer.bias) if layer.use_bias else None)
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(without).max(), name
    changed = {
        v.path for a, v in zip(model.weights, new.weights, strict=True) if not np.array_equal(numbers(a), numbers(v))
    }
    assert {path.rpartition("/")[2] for path in changed} == {"bias", "moving_mean"} and len(changed) == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kp.quantization.equalise("model.keras"), "model='model.keras'"),
        (lambda: kp.quantization.equalise(keras.Sequential([layers.Dense(3)])), "Expected a built model"),
        (lambda: kp.quantization.correct_biases(residual(), np.ones((2, 4)), samples=0), "samples=0"),
        (lambda: kp.quantization.correct_biases(residual(), np.ones((2, 4))), r"\(2, 4\)|shape"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(kp.PruneError, match=words):
        call()


def test_biases_beside_layers_with_kernels_inside():
    i = keras.Input((4, 3))
    x = layers.LSTM(4, return_sequences=True)(layers.MultiHeadAttention(1, 2)(i, i))
    model = keras.Model(i, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    new = kp.quantization.correct_biases(model, np.random.default_rng(0).normal(size=(8, 4, 3)))
    changed = [not np.array_equal(numbers(a), numbers(b)) for a, b in zip(model.weights, new.weights, strict=True)]
    assert changed == [False] * (len(changed) - 1) + [True]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_biases_of_a_model_of_another_precision_are_those_of_its_twin_in_float32(policy):
    keras.utils.set_random_seed(0)
    i = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(dtype=policy)(layers.Conv2D(8, 3, use_bias=False, dtype=policy)(i))
    model = keras.Model(i, layers.Conv2D(4, 3, dtype=policy)(layers.ReLU(dtype=policy)(x)))
    twin = keras.models.clone_model(
        model, clone_function=lambda each: type(each).from_config(each.get_config() | {"dtype": "float32"})
    )
    twin.set_weights([numbers(keras.ops.cast(each, "float32")) for each in model.weights])
    x = np.random.default_rng(0).normal(1.0, size=(64, 8, 8, 3)).astype("float32")
    found, expected = kp.quantization.correct_biases(model, x), kp.quantization.correct_biases(twin, x)
    for layer, name in ((-3, "moving_mean"), (-1, "bias")):
        one, other = (
            numbers(keras.ops.cast(getattr(each.layers[layer], name), "float32")) for each in (found, expected)
        )
        assert np.abs(one - other).max() < 0.01 * np.abs(other).max()
