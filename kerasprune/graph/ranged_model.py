"""Models that bring the ranges of their activations, so that no examples calibrate them."""

from __future__ import annotations

from contextlib import AbstractContextManager

import keras

from kerasprune.errors import PruneError


class RangedModel(keras.Model):
    """A functional float32 model whose graph has fake quantization, with a range for every tensor of its int8 file.

    `kerasprune.quantization` makes them.
    """

    @property
    def plain(self) -> keras.Model:
        """The model without fake quantization, whose weights it shares."""
        raise NotImplementedError

    def for_converter(self) -> AbstractContextManager[None]:
        """Lets the model be traced with the operations that the converter looks for while the block runs."""
        raise NotImplementedError

    def check_ranges(self) -> None:
        """Raises a `PruneError` if a range is unknown yet."""
        raise NotImplementedError

    def check_exportable(self, quantize: str | None) -> None:
        """Raises a `PruneError` unless all ranges are known, and are those of the quantization asked for."""
        if quantize != "int8":
            raise PruneError(
                "Expected quantize='int8' for a model of kp.quantization_aware, whose ranges are of 8 bits. Received: "
                f"quantize={quantize!r}. Export model.plain, the float model, in other formats."
            )
        self.check_ranges()


def without_ranges(model: keras.Model) -> keras.Model:
    """Returns the plain model of one with ranges, any other model as it is: both have the same channels and weights."""
    return model.plain if isinstance(model, RangedModel) else model
