"""Recurrent classifiers of images: one LSTM or GRU reads the rows, one after the other."""

from __future__ import annotations

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.models import arguments
from kerasprune.models.parts import Parts, layer_seed


def lstm_rows(
    units: int = 128,
    classes: int = 10,
    input_shape: arguments.InputShape = (28, 28, 1),
    seed: int | None = None,
) -> keras.Model:
    """Builds an LSTM that reads an image row by row: `logits = dense(lstm(dense(rows)))`.

    The dense layer before the LSTM has no activation and as many units. The classifier reads the last state.

    Args:
        units: Units of the LSTM: 128 is LSTM-s, 256 LSTM-b. Defaults to 128.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`, all given: a row of pixels is the input of a step. Defaults to
            `(28, 28, 1)`.
        seed: Random seed of the initial weights. Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> lstm_rows().count_params()
        136586

    Reference:
        Lee et al., SNIP: Single-Shot Network Pruning Based on Connection Sensitivity, ICLR 2019, table 2.
    """
    return _rows(keras.layers.LSTM, "lstm_rows", units, classes, input_shape, seed)


def gru_rows(
    units: int = 128,
    classes: int = 10,
    input_shape: arguments.InputShape = (28, 28, 1),
    seed: int | None = None,
) -> keras.Model:
    """Builds the network of `lstm_rows` with a GRU, whose reset gate follows the product, as in cuDNN.

    Arguments and result as for `lstm_rows`: 128 units are GRU-s, 256 GRU-b of SNIP's table 2.

    Example:
        >>> gru_rows().count_params()
        104074
    """
    return _rows(keras.layers.GRU, "gru_rows", units, classes, input_shape, seed)


def _rows(
    kind: type[keras.Layer], name: str, units: int, classes: int, input_shape: arguments.InputShape, seed: int | None
) -> keras.Model:
    faults = arguments.fixed_side_faults(input_shape) + whole_number_faults(1, units=units)
    images = arguments.checked_images(name, classes, input_shape, seed, faults)
    parts = Parts(seed)
    height, width, channels = images.shape[1:]
    x = keras.layers.Reshape((height, width * channels), name="rows")(images)
    x = keras.layers.Dense(units, kernel_initializer=parts.initializer("embedded"), name="embedded")(x)
    recurrent = kind(
        units,
        kernel_initializer=keras.initializers.GlorotUniform(layer_seed("recurrent", seed)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=layer_seed("recurrent_kernel", seed)),
        name="recurrent",
    )
    return parts.classified(images, recurrent(x), classes, name)
