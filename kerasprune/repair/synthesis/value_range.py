"""The range of the numbers that an input of a model takes, as far as the model tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import values
from kerasprune.graph.walk import all_nodes

_WIDTH = 5.0  # standard deviations of the noise from the lowest to the highest number


@dataclass(frozen=True)
class ValueRange:
    """The numbers that an input takes.

    Args:
        low: The lowest number, or one for each channel; −∞ if there is none.
        high: The highest number, likewise.
        middle: Mean of the noise.
        spread: Standard deviation of the noise.
    """

    low: Any
    high: Any
    middle: Any
    spread: Any

    @classmethod
    def between(cls, low: Any, high: Any) -> ValueRange:
        """Returns a bounded range: its mean is the middle, its deviation a fifth of it."""
        low, high = (np.asarray(each, "float32") for each in (low, high))
        return cls(low, high, (low + high) / 2, (high - low) / _WIDTH)


STANDARD = ValueRange.between(-2.5, 2.5)
UNBOUNDED = ValueRange(-np.inf, np.inf, 0.0, 1.0)
CANDIDATES = (
    STANDARD,
    ValueRange.between(-1.0, 1.0),
    ValueRange.between(0.0, 1.0),
    ValueRange.between(0.0, 255.0),
    ValueRange.between(-128.0, 128.0),  # of keras.applications.imagenet_utils, mode "caffe"
)
"""The usual scales of images."""


def declared_range(model: keras.Model, tensor: keras.KerasTensor) -> ValueRange | None:
    """Returns the range that the first layer on an input declares; `None` without one.

    `Rescaling`, `Normalization` and `BatchNormalization`, whose statistics are those of the data, do.

    Args:
        model: The model.
        tensor: One of its inputs.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 127.5, -1)])
        >>> found = declared_range(model, model.inputs[0])
        >>> float(found.low), float(found.high)
        (0.0, 255.0)
    """
    readers: dict[int, list[Any]] = {}
    for node in all_nodes(body_of(model)):
        for each in node.input_tensors:
            readers.setdefault(id(each), []).append(node)
    waiting = [tensor]
    for each in waiting:
        for node in readers.get(id(each), ()):
            layer = node.operation
            waiting += node.output_tensors if isinstance(layer, _SAME) else []
            found = next((read(layer) for kind, read in _DECLARED.items() if isinstance(layer, kind)), None)
            if found is not None:
                return found
    return None


def _of_rescaling(layer: layers.Rescaling) -> ValueRange:
    scale, offset = np.asarray(layer.scale, "float32"), np.asarray(layer.offset, "float32")
    low = np.where(offset < 0, -1.0, 0.0)
    ends = [np.round((end - offset) / scale, 4) for end in (low, np.float32(1.0))]
    return ValueRange.between(np.minimum(*ends), np.maximum(*ends))  # a negative scale turns them round


def _of_normalization(layer: layers.Normalization) -> ValueRange | None:
    if layer.invert:
        return None
    mean, variance = (keras.ops.convert_to_numpy(each)[0] for each in (layer.mean, layer.variance))
    return ValueRange(-np.inf, np.inf, mean, np.sqrt(variance))


def _of_statistics(layer: layers.BatchNormalization) -> ValueRange | None:
    """Returns the statistics of a BatchNorm, which are the data's; `None` if it has not seen any."""
    mean, variance = (values(each).astype("float32") for each in (layer.moving_mean, layer.moving_variance))
    if not np.isfinite([mean, variance]).all() or not mean.any() and (variance == 1.0).all():
        return None
    rank = len(layer.input.shape)
    after = (1,) * (rank - 1 - layer.axis % rank)
    return ValueRange(-np.inf, np.inf, *(each.reshape(-1, *after) for each in (mean, np.sqrt(variance))))


_SAME = layers.Dropout, layers.GaussianNoise, layers.Identity, layers.Masking  # which pass on the numbers of an input
_DECLARED = {
    layers.Rescaling: _of_rescaling,
    layers.Normalization: _of_normalization,
    layers.BatchNormalization: _of_statistics,
}
