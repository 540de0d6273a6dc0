"""Models that hold the ranges of their activations, so that no calibration is needed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import keras


class RangedModel(keras.Model):
    """A functional float32 model whose graph has fake quantization, with a range for every tensor of its int8 file.

    `kerasprune.export.quantization` makes them. `plain` is the model without fake quantization; it shares its weights.

    Args:
        plain: The plain model.
        inputs: The nested inputs of the new graph.
        outputs: Its nested outputs.
    """

    def __init__(self, plain: keras.Model, inputs: Any, outputs: Any) -> None:
        super().__init__(inputs, outputs, name=plain.name)
        vars(self).update(plain=plain)  # past Keras's tracking

    def for_converter(self) -> AbstractContextManager[None]:
        """Lets the model be traced with the operations that the converter looks for while the block runs."""
        raise NotImplementedError

    def check_exportable(self, form: str) -> None:
        """Raises a `PruneError` unless all ranges are known, and are those of the form asked for, such as `"int8"`."""
        raise NotImplementedError


def without_ranges(model: keras.Model) -> keras.Model:
    """Returns the plain model of one with ranges, any other model as it is: both have the same channels and weights."""
    return model.plain if isinstance(model, RangedModel) else model
