"""Arguments that few people give, and functions with parameters: parts of random models."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from support.random_builder import Builder, part
from support.random_parts import CONV, DEPTHWISE, SEPARABLE, SPACE, each


def _line(first: float, last: float, x: Any) -> np.ndarray:
    """Returns a constant with a number for each channel."""
    return np.linspace(first, last, x.shape[-1]).astype(keras.config.floatx())


each(
    "parameters",
    {
        "leaky_by": lambda b, x: ops.leaky_relu(x, negative_slope=b.pick((0.0, 0.4))),
        "elu_by": lambda b, x: b.pick((ops.elu, ops.celu))(x, alpha=0.6),
        "gelu_exact": lambda b, x: ops.gelu(x, approximate=b.chance(0.5)),
        "squareplus_by": lambda b, x: ops.squareplus(x, b=2.0),
        "shrunk_by": lambda b, x: b.pick((ops.hard_shrink, ops.soft_shrink))(x, 0.2),
        "clipped_by_rows": lambda b, x: ops.clip(
            x,
            -np.ones(x.shape[-1], keras.config.floatx()),
            np.linspace(0.1, 1, x.shape[-1]).astype(keras.config.floatx()),
        ),
        "logaddexp": lambda b, x: ops.logaddexp(x, b.pick((0.3, ops.tanh(x)))),
        "nan_to_num": lambda b, x: ops.nan_to_num(x, nan=b.pick((0.0, 0.5))),
        "cumulated": lambda b, x: 0.3 * ops.cumsum(x, axis=b.pick((1, -1))),
        "tiled": lambda b, x: ops.tile(x, (1,) * (len(x.shape) - 1) + (2,)),
        "repeated_channels": lambda b, x: ops.repeat(x, 2, axis=-1),
        "normalised_by": lambda b, x: ops.normalize(x + 0.1, axis=b.pick((1, -1))),
        "where_rows": lambda b, x: ops.where(x > 0, x, _line(-1.0, 1.0, x)),
    },
)
each(
    "unusual",
    {
        "softmax_over_axes": lambda b, x: layers.Softmax(axis=b.pick(((1, 2), 1, -1)))(x),
        "layer_norm_along": lambda b, x: layers.LayerNormalization(axis=b.pick((1, (1, 2), -1)))(x),
        "batch_norm_along": lambda b, x: layers.BatchNormalization(axis=b.pick((1, -2)))(x),
        "unit_norm_along": lambda b, x: layers.UnitNormalization(axis=b.pick((1, (1, 2))))(x),
        "group_norm_along": lambda b, x: layers.GroupNormalization(b.pick((1, -1)), axis=b.pick((1, -1)))(x),
        "reversed_positions": lambda b, x: x[:, ::-1],
        "noise_for_some": lambda b, x: layers.Dropout(0.5, noise_shape=(None, *[1] * (len(x.shape) - 2), x.shape[-1]))(
            x
        ),
        "convolved": lambda b, x: CONV(x)(
            b.channels(), 2, padding="same", dilation_rate=2, activation=b.pick(("softmax", "log_softmax", "mish"))
        )(x),
        "depthwise_softly": lambda b, x: DEPTHWISE(x)(2, padding="same", activation=b.pick(("softmax", "silu")))(x),
        "separable_dilated": lambda b, x: SEPARABLE(x)(b.channels(), 2, padding="same", dilation_rate=2)(x),
    },
    SPACE,
)
each(
    "unusual",
    {
        "dense_softly": lambda b, x: layers.Dense(b.channels(), activation=b.pick(("softmax", "sparsemax", "mish")))(x),
        "rescaled_by_rows": lambda b, x: layers.Rescaling(np.linspace(0.5, 2.0, x.shape[-1]).tolist(), offset=0.1)(x),
        "standardised": lambda b, x: layers.Normalization(mean=0.2, variance=1.5, axis=None, invert=b.chance(0.5))(x),
    },
)


def _scores(b: Builder, x: Any) -> Any:
    y, scores = layers.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True)
    return y + ops.mean(scores)


def _masked(b: Builder, x: Any) -> Any:
    mask = np.tril(np.ones((1, x.shape[1], x.shape[1]), bool))
    return layers.MultiHeadAttention(b.whole(1, 3), 3)(x, x, attention_mask=mask)


each(
    "unusual",
    {
        "lstm_unusual": lambda b, x: layers.LSTM(
            b.whole(3, 5),
            activation=b.pick(("tanh", "sigmoid", "relu", "softmax")),
            recurrent_activation=b.pick(("sigmoid", "hard_sigmoid", "softmax")),
            go_backwards=b.chance(0.5),
            unit_forget_bias=False,
            return_sequences=True,
        )(x),
        "two_ways_unlike": lambda b, x: layers.Bidirectional(
            layers.GRU(4, return_sequences=True),
            merge_mode=b.pick(("concat", "ave")),
            backward_layer=layers.SimpleRNN(4, return_sequences=True, go_backwards=True),
        )(x),
        "attention_with_scores": lambda b, x: b.pick((_scores, _masked))(b, x),
        "attention_of_two_sizes": lambda b, x: layers.MultiHeadAttention(2, 3, output_shape=(x.shape[-1],))(x, x),
        "einsum_softly": lambda b, x: layers.EinsumDense(
            "abc,cd->abd", (x.shape[1], b.channels()), activation=b.pick(("softmax", "tanh")), bias_axes="bd"
        )(x),
        "additive_by_concat": lambda b, x: layers.Attention(score_mode="concat", use_scale=True)([x, x]),
        "cosine": lambda b, x: layers.Dot(axes=2, normalize=True)([x + 0.1, b.wide(x, x.shape[-1])]),
    },
    (3,),
)
each(
    "unusual",
    {
        "tall_kernel": lambda b, x: layers.Conv2D(b.channels(), (1, 3), (2, 1), "same", activation=b.activation())(x),
        "wide_pool": lambda b, x: layers.MaxPooling2D((1, 2), (1, 2), padding="same")(x),
        "padded_unevenly": lambda b, x: layers.ZeroPadding2D(((0, 2), (1, 0)))(x),
        "symmetric": lambda b, x: ops.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)), mode="symmetric"),
        "resized_by_crop": lambda b, x: layers.Resizing(3, 2, interpolation="nearest", crop_to_aspect_ratio=True)(x),
        "attention_along_sides": lambda b, x: layers.MultiHeadAttention(2, 3, attention_axes=b.pick((1, (1, 2))))(x, x),
        "time_distributed_sequence": lambda b, x: layers.TimeDistributed(
            layers.Bidirectional(layers.LSTM(b.whole(3, 4), return_sequences=True))
        )(x),
        "transposed_twice": lambda b, x: ops.transpose(ops.transpose(x, (0, 2, 1, 3)), (0, 1, 2, 3)),
    },
    (4,),
    keeps=False,
)


@part("wrapped", SPACE)
def sequential_of_wrapped(b: Builder, x: Any) -> Any:
    """A Sequential of wrapped layers."""
    inside = [layers.TimeDistributed(layers.Dense(b.channels(), activation=b.activation()))]
    if len(x.shape) == 3:
        inside.append(layers.Bidirectional(b.pick((layers.LSTM, layers.GRU))(b.whole(3, 5), return_sequences=True)))
    inside.append(layers.SpectralNormalization(layers.Dense(b.channels())))
    return keras.Sequential(inside)(x)


@part("wrapped", SPACE)
def wrapped_twice(b: Builder, x: Any) -> Any:
    """A wrapper in a wrapper."""
    made = [lambda: layers.SpectralNormalization(layers.Dense(b.channels(), use_bias=b.chance(0.5)))]
    if len(x.shape) == 4:
        made.append(lambda: layers.TimeDistributed(layers.LayerNormalization()))
        made.append(lambda: layers.TimeDistributed(layers.Dense(b.channels(), activation="softmax")))
    return layers.TimeDistributed(b.pick(made)())(x)
