"""Single layers and operations that random models are drawn from: one part for most classes that have a rule."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from keras.src.applications.convnext import LayerScale

from support.random_builder import Builder, part

SPACE = (3, 4)


def each(family: str, table: dict[str, Callable], ranks: tuple[int, ...] = (2, 3, 4), keeps: bool = True) -> None:
    """Registers a part for every entry of a table."""
    for name, make in table.items():
        part(family, ranks, keeps, name)(make)


def by_rank(one: Any, two: Any) -> Callable[[Any], Any]:
    """Returns `x -> class`: the first for sequences, the second for images."""
    return lambda x: one if len(x.shape) == 3 else two


CONV = by_rank(layers.Conv1D, layers.Conv2D)
DEPTHWISE = by_rank(layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = by_rank(layers.SeparableConv1D, layers.SeparableConv2D)
AVERAGE = by_rank(layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D)
MAXIMUM = by_rank(layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D)
TRANSPOSE = by_rank(layers.Conv1DTranspose, layers.Conv2DTranspose)


# ---- layers that make channels -------------------------------------------------------------------------------


def _style(b: Builder) -> dict[str, Any]:
    return {"use_bias": b.chance(0.6), "activation": b.activation()}


@part("dense")
def dense(b: Builder, x: Any) -> Any:
    return layers.Dense(b.channels(), **_style(b))(x)


@part("conv", SPACE)
def conv(b: Builder, x: Any) -> Any:
    dilation = b.pick((1, 1, 2))
    return CONV(x)(b.channels(), b.whole(1, 3), padding="same", dilation_rate=dilation, **_style(b))(x)


@part("conv", SPACE, keeps=False)
def conv_strided(b: Builder, x: Any) -> Any:
    x = b.roomy(x, 3)
    return CONV(x)(b.channels(), b.whole(1, 3), b.whole(1, 2), b.pick(("same", "valid")), **_style(b))(x)


@part("conv", (3,))
def conv_causal(b: Builder, x: Any) -> Any:
    return layers.Conv1D(b.channels(), 2, padding="causal", **_style(b))(x)


@part("conv", SPACE)
def conv_grouped(b: Builder, x: Any) -> Any:
    groups = b.pick((2, 3))
    x = b.multiple(x, groups)
    return CONV(x)(groups * b.whole(1, 3), b.whole(1, 3), padding="same", groups=groups, **_style(b))(x)


@part("conv", SPACE)
def conv_lanes(b: Builder, x: Any) -> Any:
    """As many groups as channels, one or two filters for each."""
    if x.shape[-1] > 8:
        x = b.wide(x, b.whole(3, 6))
    channels = x.shape[-1]
    return CONV(x)(channels * b.whole(1, 2), 3, padding="same", groups=channels, **_style(b))(x)


@part("conv", SPACE)
def depthwise(b: Builder, x: Any) -> Any:
    return DEPTHWISE(x)(b.whole(1, 3), padding="same", depth_multiplier=b.pick((1, 1, 2)), **_style(b))(x)


@part("conv", SPACE, keeps=False)
def depthwise_valid(b: Builder, x: Any) -> Any:
    return DEPTHWISE(x)(2, **_style(b))(b.roomy(x, 3))


@part("conv", SPACE)
def separable(b: Builder, x: Any) -> Any:
    return SEPARABLE(x)(b.channels(), b.whole(1, 3), padding="same", depth_multiplier=b.pick((1, 2)), **_style(b))(x)


@part("conv", SPACE, keeps=False)
def transposed(b: Builder, x: Any) -> Any:
    strides = b.whole(1, 2)
    return TRANSPOSE(x)(b.channels(), b.whole(strides, 3), strides, b.pick(("same", "valid")), **_style(b))(x)


@part("conv", (4,))
def channels_first(b: Builder, x: Any) -> Any:
    """Channels on the first axis, and back; without biases, which Keras on TensorFlow adds wrongly there."""
    x = layers.Permute((3, 1, 2))(x)
    x = layers.Conv2D(b.channels(), 3, padding="same", use_bias=False, data_format="channels_first")(x)
    x = layers.BatchNormalization(axis=1)(x)
    if b.chance(0.5):
        x = layers.MaxPooling2D(2, 1, "same", data_format="channels_first")(x)
    return layers.Permute((2, 3, 1))(x)


@part("dense")
def einsum_dense(b: Builder, x: Any) -> Any:
    c, bias = b.channels(), b.chance(0.5)
    if len(x.shape) == 3 and b.chance(0.4):  # a layer that mixes the positions, channels in their lanes
        return layers.EinsumDense("abc,bd->adc", output_shape=x.shape[1:], bias_axes="c" if bias else None)(
            layers.Identity()(x)
        )
    if len(x.shape) == 3 and b.chance(0.5):
        two = layers.EinsumDense("abc,cde->abde", output_shape=(x.shape[1], 2, c // 2), bias_axes="de")(x)
        return layers.EinsumDense("abde,def->abf", output_shape=(x.shape[1], c), bias_axes="f" if bias else None)(two)
    more = {"activation": b.activation(), "bias_axes": "d" if bias else None}
    if len(x.shape) == 4:  # with an ellipsis Keras would swap the sides in the shape that it infers
        return layers.EinsumDense("abec,cd->abed", output_shape=(*x.shape[1:-1], c), **more)(x)
    return layers.EinsumDense("...c,cd->...d", output_shape=(c,), **more)(x)


# ---- normalisation -------------------------------------------------------------------------------------------


@part("norm")
def batch_norm(b: Builder, x: Any) -> Any:
    return layers.BatchNormalization(scale=b.chance(0.8), center=b.chance(0.8))(x)


@part("norm")
def layer_norm(b: Builder, x: Any) -> Any:
    return layers.LayerNormalization(scale=b.chance(0.8), center=b.chance(0.8))(x)


@part("norm")
def rms_norm(b: Builder, x: Any) -> Any:
    return layers.RMSNormalization()(x)


@part("norm", SPACE)
def group_norm(b: Builder, x: Any) -> Any:
    groups = b.pick((1, 2, 3, -1))
    x = b.multiple(x, groups) if groups > 1 else x
    return layers.GroupNormalization(groups, scale=b.chance(0.8), center=b.chance(0.8))(x)


@part("norm")
def layer_scale(b: Builder, x: Any) -> Any:
    return LayerScale(0.7, x.shape[-1])(x)


@part("pinning", SPACE)
def layer_norm_over_two_axes(b: Builder, x: Any) -> Any:
    return layers.LayerNormalization(axis=(-2, -1))(x)


@part("pinning")
def unit_norm(b: Builder, x: Any) -> Any:
    return layers.UnitNormalization()(x)


@part("pinning")
def normalization(b: Builder, x: Any) -> Any:
    c = x.shape[-1]
    return layers.Normalization(mean=np.linspace(-0.3, 0.3, c), variance=np.linspace(0.5, 2, c))(x)


# ---- every channel by itself ---------------------------------------------------------------------------------


@part("pointwise", (2, 3, 4))
def prelu(b: Builder, x: Any) -> Any:
    shared = {2: (None,), 3: (None, [1]), 4: (None, [1, 2], [2])}[len(x.shape)]
    return layers.PReLU(shared_axes=b.pick(shared))(x)


each(
    "pointwise",
    {
        "relu": lambda b, x: layers.ReLU(b.pick((None, 6.0)), negative_slope=b.pick((0.0, 0.1)))(x),
        "leaky": lambda b, x: layers.LeakyReLU()(x),
        "elu": lambda b, x: layers.ELU()(x),
        "activation": lambda b, x: layers.Activation(b.pick(("relu", "silu", "tanh", "sigmoid")))(x),
        "rescaling": lambda b, x: layers.Rescaling(0.5, offset=0.3)(x),
        "dropout": lambda b, x: layers.Dropout(0.5)(x),
        "gaussian_dropout": lambda b, x: layers.GaussianDropout(0.5)(x),
        "gaussian_noise": lambda b, x: layers.GaussianNoise(0.5)(x),
        "alpha_dropout": lambda b, x: layers.AlphaDropout(0.5)(x),
        "activity": lambda b, x: layers.ActivityRegularization(0.01)(x),
        "identity": lambda b, x: layers.Identity()(x),
    },
)
each(
    "pointwise",
    {"spatial_dropout": lambda b, x: by_rank(layers.SpatialDropout1D, layers.SpatialDropout2D)(x)(0.5)(x)},
    SPACE,
)


def _calls(*names: str) -> dict[str, Callable]:
    return {f"{name}_operation": getattr(ops, name) for name in names}


_PLAIN = _calls(
    "absolute", "arctan", "copy", "cos", "negative", "round", "sign", "sin", "square", "tanh", "relu", "relu6",
    "sigmoid", "softplus", "softsign", "soft_shrink", "silu", "squareplus", "log_sigmoid", "leaky_relu",
    "hard_sigmoid", "hard_silu", "elu", "selu", "gelu", "celu", "tanh_shrink", "hard_tanh", "hard_shrink",
    "stop_gradient",
)  # fmt: skip
_OF_LITTLE, _OF_POSITIVE = _calls("exp", "expm1"), _calls("log", "log1p", "sqrt", "reciprocal")
each("operation", {name: lambda b, x, call=call: call(x) for name, call in _PLAIN.items()})
each("operation", {name: lambda b, x, call=call: call(ops.tanh(x)) for name, call in _OF_LITTLE.items()})
each("operation", {name: lambda b, x, call=call: call(ops.square(x) + 0.5) for name, call in _OF_POSITIVE.items()})
each(
    "operation",
    {
        "clip": lambda b, x: ops.clip(x, -0.5, 0.7),
        "threshold": lambda b, x: ops.threshold(x, 0.1, -0.2),
        "cast": lambda b, x: ops.cast(ops.cast(x, "float64"), keras.config.floatx()),
    },
)
each(
    "pinning",
    {
        "softmax_layer": lambda b, x: layers.Softmax()(x),
        "softmax_activation": lambda b, x: layers.Activation(b.pick(("softmax", "log_softmax")))(x),
        "softmax_dense": lambda b, x: layers.Dense(b.channels(), activation="softmax")(x),
        "softmax_operation": lambda b, x: ops.softmax(x),
        "log_softmax_operation": lambda b, x: ops.log_softmax(x),
        "sorted_channels": lambda b, x: ops.sort(x, axis=-1),
    },
)
each(
    "positions",
    {
        "softmax_over_positions": lambda b, x: b.pick((layers.Softmax(axis=1), lambda y: ops.softmax(y, axis=1)))(x),
        "roll": lambda b, x: ops.roll(x, 1, axis=1),
        "flip": lambda b, x: ops.flip(x, axis=1),
        "sort": lambda b, x: ops.sort(x, axis=1),
        "gated_by_comparison": lambda b, x: x * ops.cast(x > b.pick((0.0, 0.1)), keras.config.floatx()),
        "where": lambda b, x: ops.where(x > 0, x, b.pick((0.0, 0.3))),
        "moved_axes": lambda b, x: ops.moveaxis(ops.tanh(ops.moveaxis(x, -1, 1)), 1, -1),
    },
    SPACE,
)
each("pinning", {"roll_channels": lambda b, x: ops.roll(x, 1, axis=-1), "flip_channels": lambda b, x: ops.flip(x, -1)})


# ---- constants -----------------------------------------------------------------------------------------------


def _row(b: Builder, x: Any) -> np.ndarray:
    """Returns a constant along the channels, or along other axes as well."""
    shape = b.pick(((x.shape[-1],), (1, *x.shape[1:-1], x.shape[-1]), (x.shape[-1],)))
    return np.linspace(0.5, 2.0, prod(shape)).reshape(shape).astype(keras.config.floatx())


each(
    "constants",
    {
        "plus_row": lambda b, x: x + _row(b, x),
        "row_plus": lambda b, x: ops.add(_row(b, x), x),
        "plus_number": lambda b, x: x + 0.4,
        "minus_row": lambda b, x: b.pick((lambda: x - _row(b, x), lambda: 1.0 - x))(),
        "times_row": lambda b, x: b.pick((lambda: x * _row(b, x), lambda: ops.multiply(_row(b, x), x)))(),
        "over_row": lambda b, x: b.pick((lambda: x / _row(b, x), lambda: ops.divide(x, _row(b, x))))(),
        "to_the_power": lambda b, x: b.pick((lambda: x**2, lambda: ops.power(ops.square(x) + 0.5, _row(b, x))))(),
        "at_least": lambda b, x: ops.maximum(x, b.pick((0.1, _row(b, x) - 1))),
        "at_most": lambda b, x: ops.minimum(x, b.pick((0.3, _row(b, x)))),
    },
)


# ---- space ---------------------------------------------------------------------------------------------------

each(
    "space",
    {
        "max_pool": lambda b, x: by_rank(layers.MaxPooling1D, layers.MaxPooling2D)(x)(2)(b.roomy(x)),
        "average_pool": lambda b, x: by_rank(layers.AveragePooling1D, layers.AveragePooling2D)(x)(3, 2, "same")(x),
        "max_pool_operation": lambda b, x: ops.max_pool(b.roomy(x), 2),
        "average_pool_operation": lambda b, x: ops.average_pool(x, 2, padding="same"),
        "cropping": lambda b, x: by_rank(layers.Cropping1D, layers.Cropping2D)(x)(1)(b.roomy(x)),
        "up_sampling": lambda b, x: by_rank(layers.UpSampling1D, layers.UpSampling2D)(x)(2)(x),
        "zero_padding": lambda b, x: by_rank(layers.ZeroPadding1D, layers.ZeroPadding2D)(x)(1)(x),
        "pad": lambda b, x: ops.pad(
            x, ((0, 0), (1, 0), *((0, 1),) * (len(x.shape) - 2))[: len(x.shape) - 1] + ((0, 0),)
        ),
        "global_pool_operation": lambda b, x: b.pick((ops.mean, ops.max))(x, axis=1),
    },
    SPACE,
    keeps=False,
)
each(
    "space",
    {
        "resizing": lambda b, x: layers.Resizing(b.whole(2, 5), b.whole(2, 5))(x),
        "center_crop": lambda b, x: layers.CenterCrop(2, 3)(b.roomy(x)),
        "bilinear": lambda b, x: layers.UpSampling2D(2, interpolation="bilinear")(x),
        "depth_to_space": lambda b, x: ops.depth_to_space(b.multiple(x, 4), 2),
        "space_to_depth": lambda b, x: ops.space_to_depth(b.even(x), 2),
        "reflect": lambda b, x: ops.pad(b.roomy(x), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"),
    },
    (4,),
    keeps=False,
)


# ---- channels that are added: padding of the channel axis ---------------------------------------------------


@part("padding")
def pad_channels(b: Builder, x: Any) -> Any:
    return ops.pad(x, ((0, 0),) * (len(x.shape) - 1) + ((b.whole(0, 2), b.whole(1, 3)),))


@part("padding", (4,))
def pad_channels_by_a_layer(b: Builder, x: Any) -> Any:
    """Read as channels first, an image is padded along its last two axes: here along the channels only."""
    return layers.ZeroPadding2D(((0, 0), (b.whole(0, 2), b.whole(1, 3))), data_format="channels_first")(x)


@part("padding", (4,))
def pad_channels_moved(b: Builder, x: Any) -> Any:
    return layers.Permute((1, 3, 2))(layers.ZeroPadding2D(((0, 0), (2, 1)))(layers.Permute((1, 3, 2))(x)))


# ---- three dimensions ----------------------------------------------------------------------------------------


def _volume(call: Callable[[Builder], Callable]) -> Callable[[Builder, Any], Any]:
    """A layer of three dimensions, around which an image becomes a volume and the volume an image."""

    def make(b: Builder, x: Any) -> Any:
        x = b.even(x)
        high, long, channels = x.shape[1:]
        x = layers.Reshape((2, high // 2, long, channels))(x)
        y = call(b)(x)
        if len(y.shape) == 2:
            return layers.Reshape((1, 1, y.shape[-1]))(y)
        return layers.Reshape((y.shape[1] * y.shape[2], y.shape[3], y.shape[4]))(y)

    return make


def _sixth(layer: Any) -> Callable[[Any], Any]:
    """Returns a layer that wants one axis more, of size one."""
    return lambda x: ops.squeeze(layer(ops.expand_dims(x, 2)), 2)


each(
    "volume",
    {
        name: _volume(call)
        for name, call in {
            "conv_3d": lambda b: layers.Conv3D(b.channels(), 2, padding=b.pick(("same", "valid")), **_style(b)),
            "conv_3d_transpose": lambda b: layers.Conv3DTranspose(b.channels(), 2, **_style(b)),
            "max_pool_3d": lambda b: layers.MaxPooling3D((2, 1, 2)),
            "average_pool_3d": lambda b: layers.AveragePooling3D((1, 2, 2), padding="same"),
            "global_average_3d": lambda b: layers.GlobalAveragePooling3D(),
            "global_max_3d": lambda b: layers.GlobalMaxPooling3D(),
            "cropping_3d": lambda b: layers.Cropping3D(((0, 1), (0, 0), (1, 0))),
            "up_sampling_3d": lambda b: layers.UpSampling3D((2, 1, 1)),
            "zero_padding_3d": lambda b: layers.ZeroPadding3D((0, 1, 0)),
            "dropout_3d": lambda b: layers.SpatialDropout3D(0.5),
            "adaptive_average_3d": lambda b: layers.AdaptiveAveragePooling3D(2),
            "adaptive_max_3d": lambda b: layers.AdaptiveMaxPooling3D(2),
            "conv_lstm_2d": lambda b: layers.ConvLSTM2D(b.channels(), 2, padding="same", return_sequences=True),
            "conv_lstm_3d": lambda b: _sixth(layers.ConvLSTM3D(b.channels(), 1, return_sequences=True)),
        }.items()
    },
    (4,),
    keeps=False,
)

each(
    "adaptive",
    {
        "adaptive_average": lambda b, x: AVERAGE(x)(2)(b.roomy(x)),  # a window wider than the line ends the process
        "adaptive_max": lambda b, x: MAXIMUM(x)(2)(b.roomy(x)),
    },
    SPACE,
    keeps=False,
)


@part("conv_lstm", (4,), keeps=False)
def conv_lstm(b: Builder, x: Any) -> Any:
    return layers.ConvLSTM1D(b.channels(), 2, padding="same", return_sequences=b.chance(0.7))(x)


def _attended(kind: type) -> Callable[[Builder, Any], Any]:
    return lambda b, x: kind()([x, layers.Dense(x.shape[-1])(x), layers.Dense(x.shape[-1])(x)])


each(
    "dot_attention",
    {"dot_attention": _attended(layers.Attention), "additive_attention": _attended(layers.AdditiveAttention)},
    (3,),
)
