"""One or more cases for every class that has a rule: a layer, or a function of tensors, and its input shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from keras.src.layers.preprocessing.feature_space import TFDConcat, TFDIdentity
from keras.src.ops import core, nn
from keras.src.ops import numpy as knp

from kerasprune.graph.rule import table
from kerasprune.rules.gate import Gate

VECTOR, LINE, IMAGE, VOLUME = (6,), (5, 6), (4, 5, 6), (3, 4, 3, 6)


@dataclass(frozen=True)
class Case:
    """A layer between others.

    Args:
        make: Returns a new layer, or a function of tensors.
        shapes: Its input shapes, without the batch axis.
        prunable: Whether the channels that feed it may be dropped.
        plans: How many random plans to try.
    """

    make: Callable[[], Any]
    shapes: Any
    prunable: bool = True
    plans: int = 1


def layer(cls: type, *args: Any, shapes: Any = IMAGE, prunable: bool = True, plans: int = 1, **kwargs: Any) -> Case:
    """A case of a layer made with these arguments."""
    return Case(lambda: cls(*args, **kwargs), shapes, prunable, plans)


def function(call: Callable[..., Any], shapes: Any = IMAGE, prunable: bool = True, plans: int = 1) -> Case:
    """A case of a function of tensors."""
    return Case(lambda: call, shapes, prunable, plans)


@keras.saving.register_keras_serializable("cases")
def swish(x: Any) -> Any:
    """A function of a user that acts on every channel by itself."""
    return x * ops.sigmoid(x)


@keras.saving.register_keras_serializable("cases")
def centred(x: Any) -> Any:
    """A function of a user that mixes channels."""
    return x - ops.mean(x, axis=-1, keepdims=True)


def _positive(call: Callable[..., Any]) -> Case:
    return function(lambda x: call(ops.square(x) + 0.5))


def _two(call: Callable[..., Any], **kwargs: Any) -> Case:
    return function(call, [IMAGE, IMAGE], **kwargs)


_ROW = np.linspace(0.5, 2.0, 6).astype("float32")
_GRID = np.linspace(-1.0, 2.0, 4 * 5 * 6).reshape(1, 4, 5, 6).astype("float32")
_FIRST = (6, 4, 11)  # Keras on TensorFlow adds biases wrongly where the last axis is as long as the channels


def _shuffle(x: Any) -> Any:
    x = layers.Reshape((4, 5, 2, 3))(x)
    return layers.Reshape((4, 5, 6))(layers.Permute((1, 2, 4, 3))(x))


def _gate(x: Any, reshape: bool) -> Any:
    y = layers.GlobalAveragePooling2D(keepdims=not reshape)(x)
    y = layers.Reshape((1, 1, 6))(y) if reshape else y
    y = layers.Conv2D(4, 1, activation="relu", name="squeeze")(y)
    return layers.Multiply()([x, layers.Conv2D(6, 1, activation="sigmoid", name="excite")(y)])


def _largest(x: Any) -> Any:
    return ops.cast(ops.argmax(x, axis=-1), "int32")


def _and_back(x: Any, y: Any, table: Any) -> Any:
    """Words and a tensor are added and looked up backwards, as the head of a language model does."""
    return table(layers.LayerNormalization()(layers.Add()([x, table(_largest(y))])), reverse=True)


def _states_of_stacked_cells(x: Any) -> Any:
    y, state, (h, c) = layers.RNN([layers.GRUCell(4), layers.LSTMCell(5)], return_state=True, return_sequences=True)(x)
    again = layers.RNN(layers.LSTMCell(5))(y, initial_state=[h, c])
    return layers.Concatenate()([again, state])


def _both_ways(x: Any) -> Any:
    y = layers.RNN(layers.GRUCell(5), return_sequences=True)(x)
    return layers.Bidirectional(layers.RNN(layers.LSTMCell(4), name="run"))(y)


CONVOLUTIONS = {
    layers.Conv1D: [
        layer(layers.Conv1D, 8, 3, shapes=LINE),
        layer(layers.Conv1D, 8, 3, padding="causal", dilation_rate=2, activation="relu", shapes=LINE),
    ],
    layers.Conv2D: [
        layer(layers.Conv2D, 8, 3, plans=3),
        layer(layers.Conv2D, 8, (2, 3), strides=2, padding="same", use_bias=False, activation="gelu"),
        layer(layers.Conv2D, 8, 3, groups=2, plans=3),
        layer(layers.Conv2D, 9, 2, groups=3, activation="tanh"),
        layer(layers.Conv2D, 6, 3, groups=6, padding="same", activation="relu", plans=3),
        layer(layers.Conv2D, 12, 3, groups=6),
        layer(layers.Conv2D, 8, 3, data_format="channels_first", shapes=_FIRST),
        layer(layers.Conv2D, 8, 1, activation="softmax"),
    ],
    layers.Conv3D: [layer(layers.Conv3D, 4, 2, shapes=VOLUME)],
    layers.DepthwiseConv1D: [
        layer(layers.DepthwiseConv1D, 3, shapes=LINE),
        layer(layers.DepthwiseConv1D, 3, depth_multiplier=2, shapes=LINE),
    ],
    layers.DepthwiseConv2D: [
        layer(layers.DepthwiseConv2D, 3, padding="same", activation="relu", plans=3),
        layer(layers.DepthwiseConv2D, 2, depth_multiplier=3, use_bias=False, plans=3),
        layer(layers.DepthwiseConv2D, 3, data_format="channels_first", shapes=_FIRST),
    ],
    layers.SeparableConv1D: [layer(layers.SeparableConv1D, 5, 3, depth_multiplier=2, shapes=LINE)],
    layers.SeparableConv2D: [
        layer(layers.SeparableConv2D, 8, 3, activation="relu", plans=3),
        layer(layers.SeparableConv2D, 8, 2, depth_multiplier=2, use_bias=False),
    ],
    layers.Conv1DTranspose: [layer(layers.Conv1DTranspose, 5, 3, strides=2, shapes=LINE)],
    layers.Conv2DTranspose: [
        layer(layers.Conv2DTranspose, 8, 2, strides=2, activation="relu", plans=3),
        layer(layers.Conv2DTranspose, 8, 3, strides=2, padding="same", use_bias=False),
        layer(layers.Conv2DTranspose, 8, 3),
    ],
    layers.Conv3DTranspose: [layer(layers.Conv3DTranspose, 4, 2, strides=2, shapes=VOLUME)],
}

DENSE = {
    layers.Dense: [
        layer(layers.Dense, 8, activation="relu", shapes=VECTOR, plans=3),
        layer(layers.Dense, 8, use_bias=False, shapes=LINE),
        layer(layers.Dense, 8, activation="softmax", shapes=VECTOR),
    ],
    layers.EinsumDense: [
        layer(layers.EinsumDense, "abc,cd->abd", output_shape=(5, 8), bias_axes="d", shapes=LINE),
        layer(layers.EinsumDense, "abc,cde->abde", output_shape=(5, 4, 3), bias_axes="de", shapes=LINE),
        layer(layers.EinsumDense, "...c,cd->...d", output_shape=(8,), activation="relu", shapes=LINE),
        layer(layers.EinsumDense, "abc,bc->abc", output_shape=(5, 6), shapes=LINE),
        layer(layers.EinsumDense, "abc,bcd->ad", output_shape=(8,), shapes=LINE),
    ],
    layers.Embedding: [
        function(lambda x: layers.Embedding(9, 6)(ops.cast(ops.argmax(x, axis=-1), "int32")), LINE, prunable=False)
    ],
    layers.ReversibleEmbedding: [
        function(lambda x, y: _and_back(x, y, layers.ReversibleEmbedding(9, 6)), [LINE, LINE], plans=3),
        function(
            lambda x, y: _and_back(x, y, layers.ReversibleEmbedding(9, 6, tie_weights=False, logit_soft_cap=3.0)),
            [LINE, LINE],
            plans=3,
        ),
        function(lambda x, y: layers.Add()([x, layers.ReversibleEmbedding(9, 6)(_largest(y))]), [LINE, LINE]),
        function(
            lambda x, y: layers.Add()([x, layers.ReversibleEmbedding(9, 6, tie_weights=False)(_largest(y))]),
            [LINE, LINE],
        ),
    ],
}

MERGES = {
    layers.Add: [layer(layers.Add, shapes=[IMAGE, IMAGE], plans=3), layer(layers.Add, shapes=[IMAGE, (1, 1, 6)])],
    layers.Subtract: [layer(layers.Subtract, shapes=[IMAGE, IMAGE])],
    layers.Average: [layer(layers.Average, shapes=[IMAGE, IMAGE, IMAGE])],
    layers.Maximum: [layer(layers.Maximum, shapes=[IMAGE, IMAGE])],
    layers.Minimum: [layer(layers.Minimum, shapes=[LINE, LINE])],
    layers.Multiply: [
        layer(layers.Multiply, shapes=[IMAGE, IMAGE], plans=3),
        layer(layers.Multiply, shapes=[IMAGE, (1, 1, 6)]),
        layer(layers.Multiply, shapes=[IMAGE, (4, 5, 1)]),
        layer(layers.Multiply, shapes=[IMAGE, VECTOR]),
        function(lambda x: _gate(x, reshape=True), plans=3),
        function(lambda x: _gate(x, reshape=False), plans=3),
    ],
    layers.Attention: [
        layer(layers.Attention, shapes=[LINE, LINE], prunable=False),
        layer(layers.Attention, use_scale=True, shapes=[LINE, LINE, LINE]),
    ],
    layers.AdditiveAttention: [layer(layers.AdditiveAttention, shapes=[LINE, LINE, LINE])],
    layers.Dot: [layer(layers.Dot, axes=2, shapes=[LINE, LINE], prunable=False)],
    layers.Concatenate: [
        layer(layers.Concatenate, shapes=[IMAGE, (4, 5, 3)], plans=3),
        layer(layers.Concatenate, axis=1, shapes=[IMAGE, (2, 5, 6)]),
        function(lambda x: layers.Concatenate()([x, x]), plans=3),
        function(lambda x: layers.Concatenate()([x, layers.ReLU()(x)])),
    ],
    TFDConcat: [
        layer(TFDConcat, -1, shapes=[IMAGE, (4, 5, 3)], plans=3),
        layer(TFDConcat, 1, shapes=[IMAGE, (2, 5, 6)]),
    ],
    CustomScaleLayer: [layer(CustomScaleLayer, 0.3, shapes=[IMAGE, IMAGE])],
    knp.Add: [
        _two(lambda x, y: x + y, plans=3),
        function(lambda x: x + 2.5),
        function(lambda x: x + _ROW),
        function(lambda x: ops.add(_GRID, x)),
        function(lambda x: x + x),
    ],
    knp.Subtract: [_two(lambda x, y: x - y), function(lambda x: 1.0 - x)],
    knp.Multiply: [
        _two(lambda x, y: x * y, plans=3),
        function(lambda x: x * _ROW, plans=3),
        function(lambda x: ops.multiply(_GRID, x)),
        function(lambda x: x * 0.5),
        function(lambda x: x * ops.mean(x, axis=-1, keepdims=True), prunable=False),
    ],
    knp.Divide: [function(lambda x: ops.divide(x, _ROW))],
    knp.TrueDivide: [function(lambda x: x / _ROW), _two(lambda x, y: ops.true_divide(x, ops.square(y) + 1.0))],
    knp.Power: [function(lambda x: x**2), function(lambda x: ops.power(ops.square(x) + 0.5, _ROW))],
    knp.Maximum: [_two(ops.maximum), function(lambda x: ops.maximum(x, 0.1))],
    knp.Minimum: [_two(ops.minimum)],
    knp.Concatenate: [
        function(lambda x, y: ops.concatenate([x, y], axis=-1), [IMAGE, (4, 5, 3)]),
        function(lambda x, y: ops.concatenate([x, y], axis=1), [IMAGE, (2, 5, 6)]),
    ],
    knp.Stack: [
        _two(lambda x, y: ops.stack([x, y], axis=2)),
        _two(lambda x, y: ops.stack([x, y], axis=-1), prunable=False),
    ],
}

NORMS = {
    layers.BatchNormalization: [
        layer(layers.BatchNormalization, plans=3),
        layer(layers.BatchNormalization, scale=False, center=False, shapes=VECTOR),
        layer(layers.BatchNormalization, axis=1, shapes=LINE),
    ],
    layers.LayerNormalization: [
        layer(layers.LayerNormalization, plans=3),
        layer(layers.LayerNormalization, scale=False, center=False, shapes=LINE),
        layer(layers.LayerNormalization, axis=(-2, -1), shapes=LINE, prunable=False),
        layer(layers.LayerNormalization, axis=1, shapes=LINE, prunable=False),
    ],
    layers.RMSNormalization: [layer(layers.RMSNormalization, plans=3), layer(layers.RMSNormalization, shapes=VECTOR)],
    layers.GroupNormalization: [
        layer(layers.GroupNormalization, 2, plans=3),
        layer(layers.GroupNormalization, 1),
        layer(layers.GroupNormalization, -1),
        layer(layers.GroupNormalization, 3, scale=False, center=False),
    ],
    layers.UnitNormalization: [layer(layers.UnitNormalization, prunable=False)],
    layers.Normalization: [
        layer(layers.Normalization, mean=[0.1] * 6, variance=[2.0] * 6, prunable=False),
    ],
    LayerScale: [layer(LayerScale, 0.5, 6)],
    Gate: [layer(Gate, plans=2), layer(Gate, shapes=VECTOR)],
    StochasticDepth: [layer(StochasticDepth, 0.5)],
}

SHAPES = {
    layers.Flatten: [
        layer(layers.Flatten, plans=3),
        layer(layers.Flatten, shapes=VECTOR),
        layer(layers.Flatten, data_format="channels_first", shapes=_FIRST),
    ],
    layers.Reshape: [
        layer(layers.Reshape, (20, 6), plans=3),
        layer(layers.Reshape, (5, -1, 6)),
        layer(layers.Reshape, (120,)),
        layer(layers.Reshape, (1, 1, 6), shapes=VECTOR),
        layer(layers.Reshape, (4, 5, 2, 3)),
        layer(layers.Reshape, (-1,)),
        function(_shuffle, plans=3),
    ],
    layers.Permute: [
        layer(layers.Permute, (2, 1, 3)),
        layer(layers.Permute, (3, 1, 2), prunable=False),
        function(lambda x: layers.Permute((2, 3, 1))(ops.relu(layers.Permute((3, 1, 2))(x)))),
        function(lambda x: layers.Flatten()(layers.Permute((2, 1))(x)), LINE, plans=3),
    ],
    layers.RepeatVector: [layer(layers.RepeatVector, 3, shapes=VECTOR)],
    knp.Reshape: [
        function(lambda x: ops.reshape(x, (-1, 20, 6)), plans=3),
        function(lambda x: ops.reshape(x, (-1, 120))),
        function(lambda x: ops.reshape(x, (-1, 1, 6)), VECTOR),
    ],
    knp.Transpose: [function(lambda x: ops.transpose(ops.relu(ops.transpose(x, (0, 3, 1, 2))), (0, 2, 3, 1)))],
    knp.Swapaxes: [function(lambda x: layers.Flatten()(ops.swapaxes(x, 1, -1)))],
    knp.ExpandDims: [function(lambda x: ops.expand_dims(x, 1), LINE), function(lambda x: ops.expand_dims(x, -2), LINE)],
    knp.Squeeze: [
        function(lambda x: ops.squeeze(x, 1), (1, 5, 6)),
        function(lambda x: ops.squeeze(x, axis=(1, 2)), (1, 1, 6)),
    ],
    knp.GetItem: [
        function(lambda x: x[:, 1:3]),
        function(lambda x: x[..., 1:4], plans=3),
        function(lambda x: x[:, 0]),
        function(lambda x: x[..., -2:]),
        function(lambda x: x[..., 0], prunable=False),
        function(lambda x: x[..., ::2], prunable=False),
        function(lambda x: ops.concatenate([x[..., 3:], x[..., :3]], -1), plans=3),
        function(lambda x: x[:, None], LINE),
    ],
    core.Slice: [
        function(lambda x: ops.slice(x, (0, 1, 0, 0), (-1, 2, 2, x.shape[-1])), plans=3),
        function(lambda x: ops.slice(x, (0, 0, 0, 1), (-1, 2, 2, 4)), plans=3),
        function(lambda x: ops.slice(x, np.array((0, 1, 0, 2)), (-1, 2, -1, -1)), plans=3),
        function(lambda x: ops.concatenate([ops.slice(x, (0, 0, 0, n), (-1, -1, -1, 3)) for n in (3, 0)], -1), plans=3),
        function(lambda x: ops.slice(x, ops.cast(x[0, 0, 0, :4] * 0, "int32"), (-1, 2, 2, 2)), prunable=False),
    ],
    knp.Split: [
        function(lambda x: ops.concatenate(ops.split(x, 2, axis=-1)[::-1], axis=-1), plans=3),
        function(lambda x: ops.split(x, [1, 4], axis=-1)[1]),
        function(lambda x: ops.split(x, 2, axis=1)[0]),
    ],
    core.Unstack: [
        function(lambda x: ops.unstack(x, axis=1)[1]),
        function(lambda x: ops.unstack(x, axis=-1)[1], LINE, prunable=False),
    ],
    knp.Take: [
        function(lambda x: ops.take(x, [1, 3], axis=1)),
        function(lambda x: ops.take(x, [1, 3], axis=-1), prunable=False),
        function(lambda x: ops.take(x, [[0, 1], [2, 3]], axis=1), LINE),
    ],
    knp.Roll: [
        function(lambda x: ops.roll(x, 1, axis=1)),
        function(lambda x: ops.roll(x, 1, axis=-1), prunable=False),
    ],
    knp.Flip: [function(lambda x: ops.flip(x, axis=2)), function(lambda x: ops.flip(x, axis=-1), prunable=False)],
    knp.Pad: [
        function(lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)))),
        function(lambda x: ops.pad(x, ((0, 0), (0, 0), (0, 0), (2, 3))), plans=3),
        function(lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")),
    ],
    layers.ZeroPadding1D: [layer(layers.ZeroPadding1D, (1, 2), shapes=LINE)],
    layers.ZeroPadding2D: [
        layer(layers.ZeroPadding2D, 1),
        layer(layers.ZeroPadding2D, ((0, 1), (2, 0))),
        function(
            lambda x: layers.Permute((1, 3, 2))(layers.ZeroPadding2D(((0, 0), (2, 1)))(layers.Permute((1, 3, 2))(x))),
            plans=3,
        ),
    ],
    layers.ZeroPadding3D: [layer(layers.ZeroPadding3D, 1, shapes=VOLUME)],
}

SPACE = {
    layers.MaxPooling1D: [layer(layers.MaxPooling1D, 2, shapes=LINE)],
    layers.MaxPooling2D: [
        layer(layers.MaxPooling2D, 2),
        layer(layers.MaxPooling2D, 2, data_format="channels_first", shapes=_FIRST),
    ],
    layers.MaxPooling3D: [layer(layers.MaxPooling3D, 2, shapes=VOLUME)],
    layers.AveragePooling1D: [layer(layers.AveragePooling1D, 2, shapes=LINE)],
    layers.AveragePooling2D: [layer(layers.AveragePooling2D, 3, padding="same")],
    layers.AveragePooling3D: [layer(layers.AveragePooling3D, 2, shapes=VOLUME)],
    layers.GlobalAveragePooling1D: [layer(layers.GlobalAveragePooling1D, shapes=LINE)],
    layers.GlobalAveragePooling2D: [
        layer(layers.GlobalAveragePooling2D),
        layer(layers.GlobalAveragePooling2D, keepdims=True),
    ],
    layers.GlobalAveragePooling3D: [layer(layers.GlobalAveragePooling3D, shapes=VOLUME)],
    layers.GlobalMaxPooling1D: [layer(layers.GlobalMaxPooling1D, shapes=LINE)],
    layers.GlobalMaxPooling2D: [layer(layers.GlobalMaxPooling2D)],
    layers.GlobalMaxPooling3D: [layer(layers.GlobalMaxPooling3D, shapes=VOLUME)],
    layers.Cropping1D: [layer(layers.Cropping1D, 1, shapes=LINE)],
    layers.Cropping2D: [layer(layers.Cropping2D, 1)],
    layers.Cropping3D: [layer(layers.Cropping3D, 1, shapes=VOLUME)],
    layers.UpSampling1D: [layer(layers.UpSampling1D, 2, shapes=LINE)],
    layers.UpSampling2D: [layer(layers.UpSampling2D, 2, interpolation="bilinear")],
    layers.UpSampling3D: [layer(layers.UpSampling3D, 2, shapes=VOLUME)],
    layers.Resizing: [layer(layers.Resizing, 3, 7)],
    layers.CenterCrop: [layer(layers.CenterCrop, 2, 3)],
    nn.MaxPool: [function(lambda x: ops.max_pool(x, 2))],
    nn.AveragePool: [function(lambda x: ops.average_pool(x, 2, padding="same"))],
    nn.DepthToSpace: [function(lambda x: ops.depth_to_space(x, 2), (4, 5, 12), plans=3)],
    nn.SpaceToDepth: [function(lambda x: ops.space_to_depth(x, 2), (4, 6, 6), plans=3)],
}

REDUCTIONS = {
    kind: [
        function(lambda x, call=call: call(x, axis=(1, 2))),
        function(lambda x, call=call: call(x, axis=-1, keepdims=True), prunable=False),
    ]
    for kind, call in {
        knp.Mean: ops.mean,
        knp.Max: ops.max,
        knp.Min: ops.min,
        knp.Amax: ops.amax,
        knp.Amin: ops.amin,
        knp.Median: ops.median,
        knp.Sum: ops.sum,
        knp.Prod: ops.prod,
        knp.Std: ops.std,
        knp.Var: ops.var,
    }.items()
} | {
    knp.Argmax: [function(lambda x: ops.cast(ops.argmax(x, axis=1), "float32"))],
    knp.Argmin: [function(lambda x: ops.cast(ops.argmin(x, axis=1), "float32"))],
    knp.CountNonzero: [function(lambda x: ops.cast(ops.count_nonzero(ops.relu(x), axis=1), "float32"))],
    knp.Any: [function(lambda x: ops.cast(ops.any(ops.relu(x - 0.5), axis=1), "float32"))],
    knp.All: [function(lambda x: ops.cast(ops.all(ops.relu(x + 0.5), axis=1), "float32"))],
}

PRODUCTS = {
    knp.Matmul: [
        function(lambda x, y: ops.matmul(x, ops.swapaxes(y, 1, 2)), [LINE, LINE], prunable=False),
        function(lambda x, y: ops.matmul(ops.softmax(y), x), [LINE, (5, 5)]),
        function(lambda x: ops.matmul(x, np.eye(6, 4, dtype="float32")), LINE, prunable=False),
    ],
    knp.Einsum: [
        function(lambda x, y: ops.einsum("btc,bsc->bts", x, y), [LINE, LINE], prunable=False),
        function(lambda x, y: ops.einsum("btc,btc->bc", x, y), [LINE, LINE]),
        function(lambda x, y: ops.einsum("...c,btc->...c", x, y), [LINE, LINE]),
        function(lambda x, y: ops.einsum("...tc,...uc->...tu", x, y), [LINE, LINE], prunable=False),
    ],
    nn.DotProductAttention: [
        function(lambda q, k, v: ops.dot_product_attention(q, k, v), [(5, 2, 6)] * 3, prunable=False)
    ],
    layers.MultiHeadAttention: [
        function(lambda x: layers.MultiHeadAttention(4, 3, name="attention")(x, x), LINE, plans=3),
        function(lambda x, y: layers.MultiHeadAttention(2, 4, value_dim=3)(x, y), [LINE, (3, 4)], plans=3),
        function(lambda x: layers.Add()([x, layers.MultiHeadAttention(3, 4, use_bias=False)(x, x)]), LINE),
    ],
    layers.GroupQueryAttention: [
        function(lambda x: layers.GroupQueryAttention(4, 6, 2, name="attention")(x, x), LINE, plans=3)
    ],
    layers.ConvLSTM1D: [layer(layers.ConvLSTM1D, 4, 2, shapes=(3, 5, 6), plans=2)],
    layers.ConvLSTM2D: [
        layer(layers.ConvLSTM2D, 4, 2, shapes=VOLUME),
        layer(layers.ConvLSTM2D, 4, 3, padding="same", return_sequences=True, use_bias=False, shapes=VOLUME, plans=2),
        layer(layers.ConvLSTM2D, 4, 2, activation="relu", recurrent_activation="sigmoid", shapes=VOLUME),
    ],
    layers.ConvLSTM3D: [function(lambda x: layers.ConvLSTM3D(4, (1, 2, 2))(ops.expand_dims(x, 2)), VOLUME)],
    layers.LSTM: [
        layer(layers.LSTM, 5, shapes=LINE, plans=3),
        layer(layers.LSTM, 5, return_sequences=True, shapes=LINE),
    ],
    layers.GRU: [
        layer(layers.GRU, 5, shapes=LINE, plans=3),
        layer(layers.GRU, 5, reset_after=False, return_sequences=True, shapes=LINE),
    ],
    layers.SimpleRNN: [layer(layers.SimpleRNN, 5, shapes=LINE)],
    layers.RNN: [
        Case(lambda: layers.RNN(layers.LSTMCell(5)), LINE, plans=3),
        Case(lambda: layers.RNN(layers.GRUCell(5, reset_after=False, use_bias=False), return_sequences=True), LINE),
        Case(lambda: layers.RNN([layers.LSTMCell(4), layers.GRUCell(5), layers.SimpleRNNCell(3)]), LINE, plans=3),
        Case(lambda: layers.RNN([layers.SimpleRNNCell(4), layers.LSTMCell(5)], return_sequences=True), LINE, plans=2),
        function(_states_of_stacked_cells, LINE, plans=2),
        function(_both_ways, LINE),
    ],
    layers.Bidirectional: [
        Case(lambda: layers.Bidirectional(layers.LSTM(5)), LINE, plans=3),
        Case(lambda: layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="sum"), LINE),
        Case(lambda: layers.Bidirectional(layers.SimpleRNN(5), backward_layer=layers.GRU(5, go_backwards=True)), LINE),
    ],
    layers.TimeDistributed: [
        Case(lambda: layers.TimeDistributed(layers.Dense(5, activation="relu")), LINE),
        Case(lambda: layers.TimeDistributed(layers.Conv2D(5, 2)), VOLUME),
        Case(lambda: layers.TimeDistributed(layers.BatchNormalization()), VOLUME),
        Case(lambda: layers.TimeDistributed(layers.TimeDistributed(layers.LayerNormalization())), IMAGE),
        Case(lambda: layers.TimeDistributed(layers.SpectralNormalization(layers.Conv2D(5, 2))), VOLUME),
        Case(lambda: layers.TimeDistributed(layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)])), IMAGE),
    ],
    layers.SpectralNormalization: [
        Case(lambda: layers.SpectralNormalization(layers.Dense(5, activation="relu")), VECTOR, plans=2),
        Case(lambda: layers.SpectralNormalization(layers.Conv2D(8, 3, groups=2), power_iterations=2), IMAGE, plans=2),
        Case(lambda: layers.SpectralNormalization(layers.Conv2DTranspose(8, 2, strides=2)), IMAGE),
        Case(lambda: layers.SpectralNormalization(layers.DepthwiseConv2D(2, depth_multiplier=2)), IMAGE),
    ],
}

POINTWISE = {
    layers.ReLU: [layer(layers.ReLU, 6.0, negative_slope=0.1)],
    layers.LeakyReLU: [layer(layers.LeakyReLU)],
    **{
        getattr(layers, f"Adaptive{kind}Pooling{n}D"): [
            layer(getattr(layers, f"Adaptive{kind}Pooling{n}D"), 2, shapes=(LINE, IMAGE, VOLUME)[n - 1])
        ]
        for kind in ("Max", "Average")
        for n in (1, 2, 3)
        if hasattr(layers, f"Adaptive{kind}Pooling{n}D")
    },
    layers.ELU: [layer(layers.ELU)],
    layers.PReLU: [
        layer(layers.PReLU, shared_axes=(1, 2), plans=3),
        layer(layers.PReLU, plans=3),
        layer(layers.PReLU, shared_axes=(2, 3)),
        layer(layers.PReLU, shapes=VECTOR),
    ],
    layers.Activation: [
        layer(layers.Activation, "relu"),
        layer(layers.Activation, "softmax", prunable=False),
        layer(layers.Activation, "log_softmax", shapes=VECTOR, prunable=False),
        layer(layers.Activation, ops.silu),  # not ops.gelu: Keras reads that from a file as its other gelu
        layer(layers.Activation, ops.softmax, prunable=False),
        layer(layers.Activation, swish),
        layer(layers.Activation, centred, prunable=False),
    ],
    keras.Operation: [  # those without a rule of their own are tried
        function(lambda x: ops.sort(x, axis=1)),
        function(lambda x: ops.sort(x, axis=-1), prunable=False),
        function(lambda x: ops.logsumexp(x, axis=(1, 2))),
        function(lambda x: ops.logsumexp(x, axis=-1, keepdims=True), prunable=False),
        function(lambda x: ops.moveaxis(ops.tanh(ops.moveaxis(x, -1, 1)), 1, -1), plans=2),
        function(lambda x: ops.tile(x, (1, 2, 1, 1))),
        function(lambda x: ops.repeat(x, 2, axis=-1), prunable=False),
        function(lambda x: ops.where(x > 0.1, x, 0.3)),
        function(lambda x: ops.where(x > 0.1, x, _ROW), prunable=False),
        _two(lambda x, y: ops.logaddexp(x, y)),
        function(lambda x: ops.nan_to_num(x)),
        function(lambda x: ops.image.resize(x, (3, 3))),
        function(lambda x: ops.normalize(x, axis=-1), prunable=False),
    ],
    layers.Softmax: [layer(layers.Softmax, prunable=False), layer(layers.Softmax, axis=1)],
    layers.Rescaling: [
        layer(layers.Rescaling, 0.5, offset=0.3),
        layer(layers.Rescaling, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], prunable=False),
    ],
    layers.Dropout: [
        layer(layers.Dropout, 0.5),
        layer(layers.Dropout, 0.5, noise_shape=(None, 1, 1, 6), prunable=False),
    ],
    layers.SpatialDropout1D: [layer(layers.SpatialDropout1D, 0.5, shapes=LINE)],
    layers.SpatialDropout2D: [layer(layers.SpatialDropout2D, 0.5)],
    layers.SpatialDropout3D: [layer(layers.SpatialDropout3D, 0.5, shapes=VOLUME)],
    layers.GaussianDropout: [layer(layers.GaussianDropout, 0.5)],
    layers.GaussianNoise: [layer(layers.GaussianNoise, 0.5)],
    layers.AlphaDropout: [layer(layers.AlphaDropout, 0.5)],
    layers.ActivityRegularization: [layer(layers.ActivityRegularization, 0.01)],
    layers.Identity: [layer(layers.Identity)],
    TFDIdentity: [layer(TFDIdentity)],
    nn.Softmax: [function(lambda x: ops.softmax(x), prunable=False), function(lambda x: ops.softmax(x, axis=1))],
    nn.LogSoftmax: [function(lambda x: ops.log_softmax(x), prunable=False)],
    core.Cast: [function(lambda x: ops.cast(ops.cast(x, "float64"), "float32"))],
    core.StopGradient: [function(ops.stop_gradient)],
    knp.Clip: [function(lambda x: ops.clip(x, -0.5, 0.7))],
    knp.Log: [_positive(ops.log)],
    knp.Log1p: [_positive(ops.log1p)],
    knp.Sqrt: [_positive(ops.sqrt)],
    knp.Reciprocal: [_positive(ops.reciprocal)],
    nn.Threshold: [function(lambda x: ops.threshold(x, 0.1, -0.2))],
} | {
    kind: [function(call)]
    for kind, call in {
        knp.Absolute: ops.absolute,
        knp.Arctan: ops.arctan,
        knp.Copy: ops.copy,
        knp.Cos: ops.cos,
        knp.Exp: ops.exp,
        knp.Expm1: ops.expm1,
        knp.Negative: ops.negative,
        knp.Round: ops.round,
        knp.Sign: ops.sign,
        knp.Sin: ops.sin,
        knp.Square: ops.square,
        knp.Tanh: ops.tanh,
        nn.Relu: ops.relu,
        nn.Relu6: ops.relu6,
        nn.Sigmoid: ops.sigmoid,
        nn.Softplus: ops.softplus,
        nn.Softsign: ops.softsign,
        nn.SoftShrink: ops.soft_shrink,
        nn.Silu: ops.silu,
        nn.Squareplus: ops.squareplus,
        nn.LogSigmoid: ops.log_sigmoid,
        nn.LeakyRelu: ops.leaky_relu,
        nn.HardSigmoid: ops.hard_sigmoid,
        nn.HardSilu: ops.hard_silu,
        nn.Elu: ops.elu,
        nn.Selu: ops.selu,
        nn.Gelu: ops.gelu,
        nn.Celu: ops.celu,
        nn.TanhShrink: ops.tanh_shrink,
        nn.HardTanh: ops.hard_tanh,
        nn.HardShrink: ops.hard_shrink,
    }.items()
}

CASES: dict[type, list[Case]] = (
    CONVOLUTIONS | DENSE | MERGES | NORMS | SHAPES | SPACE | REDUCTIONS | PRODUCTS | POINTWISE
)


def cases():
    """Yields every case; by default the first one of at most two classes that share a rule."""
    met: Counter[object] = Counter()
    for cls, found in CASES.items():
        rule = table.load()[cls].function if cls in table.load() else cls
        met[rule] += 1
        for n, case in enumerate(found):
            more = n > 0 or met[rule] > 2
            yield pytest.param(cls, case, id=f"{cls.__name__}-{n}", marks=[pytest.mark.thorough] * more)
