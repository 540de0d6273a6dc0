"""The range of the numbers that an input of a model takes, as far as the model tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.graph.built_model import body_of
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
    """Returns the range that the first layer on an input declares: `Rescaling` or `Normalization`; `None` without one.

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
    for node in all_nodes(body_of(model)):
        layer = node.operation
        if not any(each is tensor for each in node.input_tensors):
            continue
        if isinstance(layer, layers.Rescaling):
            scale, offset = np.asarray(layer.scale, "float32"), np.asarray(layer.offset, "float32")
            low = np.where(offset < 0, -1.0, 0.0)
            ends = [np.round((end - offset) / scale, 4) for end in (low, np.float32(1.0))]
            return ValueRange.between(np.minimum(*ends), np.maximum(*ends))  # a negative scale turns them round
        if isinstance(layer, layers.Normalization) and not layer.invert:
            mean, variance = (keras.ops.convert_to_numpy(each)[0] for each in (layer.mean, layer.variance))
            return ValueRange(-np.inf, np.inf, mean, np.sqrt(variance))
    return None
