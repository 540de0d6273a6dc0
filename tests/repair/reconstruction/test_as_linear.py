"""Kernels as matrices: rows @ matrix + bias against what the layer itself puts out, at every position."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerasprune.repair.reconstruction.as_linear import as_linear, multiply_by_group

CASES = {
    "dense": (layers.Dense(5), (4,)),
    "dense on a sequence": (layers.Dense(5), (3, 4)),
    "dense on an image, no bias": (layers.Dense(5, use_bias=False), (3, 2, 4)),
    "conv, same, strides": (layers.Conv2D(6, 3, strides=2, padding="same"), (7, 8, 4)),
    "conv, oblong, dilated": (layers.Conv2D(6, (2, 3), dilation_rate=(2, 1)), (7, 6, 4)),
    "conv, groups": (layers.Conv2D(6, 3, groups=2, padding="same"), (5, 5, 4)),
    "conv, as many groups as channels": (layers.Conv2D(4, 3, groups=4, use_bias=False), (5, 5, 4)),
    "conv 1-D, causal, dilated": (layers.Conv1D(3, 3, padding="causal", dilation_rate=2), (9, 4)),
    "conv 3-D": (layers.Conv3D(3, 2, strides=2, padding="same"), (5, 4, 3, 2)),
    "depthwise": (layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2), (6, 5, 4)),
    "depthwise 1-D": (layers.DepthwiseConv1D(3), (6, 4)),
    "separable": (layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2), (5, 6, 3)),
    "separable 1-D": (layers.SeparableConv1D(5, 3, strides=2), (9, 3)),
    "transposed": (layers.Conv2DTranspose(3, 3, strides=2, padding="same"), (4, 5, 2)),
    "transposed, valid, output padding": (layers.Conv2DTranspose(3, 4, strides=3, output_padding=1), (3, 4, 2)),
    "transposed 1-D": (layers.Conv1DTranspose(3, 5, strides=2), (6, 2)),
    "transposed 3-D": (layers.Conv3DTranspose(2, 2, strides=2), (2, 3, 2, 2)),
    "einsum, heads": (layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), (5, 4)),
    "einsum, heads joined": (layers.EinsumDense("abde,dec->abc", (None, 6), bias_axes="c"), (3, 2, 4)),
    "einsum, ellipsis": (layers.EinsumDense("...x,xy->...y", 6, bias_axes="y"), (3, 2, 4)),
    "einsum, lanes": (layers.EinsumDense("abhc,hcd->abhd", (None, 3, 2), bias_axes="hd"), (5, 3, 4)),
    "einsum, places mixed": (layers.EinsumDense("acb,cd->adb", (6, 3)), (4, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_times_matrix_is_the_layer(name):
    layer, shape = CASES[name]
    layer = type(layer).from_config(layer.get_config())
    random = np.random.default_rng(0)
    x = random.normal(size=(3, *shape)).astype("float32")
    layer.build((None, *shape))
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    expected = keras.ops.convert_to_numpy(layer(x))
    view = as_linear(layer)[-1]
    number = view.positions(x.shape)
    chosen = np.stack([random.permutation(number)[: max(number - 1, 1)] for _ in x])
    made = view.made(x, chosen)
    assert np.allclose(made, view.outputs(expected, chosen), atol=1e-4)
    assert made.shape[0] == chosen.size and made[0].size * number * 3 == expected.size
    kernel = keras.ops.convert_to_numpy(view.variable)
    assert np.array_equal(view.kernel(view.matrix(kernel), kernel.shape), kernel)
    assert np.allclose(multiply_by_group(view.rows(x, chosen), view.start).shape, made.shape)


def test_what_is_not_known_is_left_out():
    lstm, quantized, odd = layers.LSTM(3), layers.Dense(4), layers.EinsumDense("abc,cd->ad", 4)
    for layer, shape in ((lstm, (None, 5, 2)), (quantized, (None, 3)), (odd, (None, 5, 3))):
        layer.build(shape)
    quantized.quantize("int8")
    assert as_linear(lstm) == as_linear(quantized) == as_linear(odd) == []
