"""How examples are drawn for one input of a model: as noise in its range, or as entries of its table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.surgery.random_inputs import Entries
from kerasprune.synthesis.noise import smooth_noise, tokens
from kerasprune.synthesis.value_range import ValueRange

_IMAGE = 4  # axes of a batch of images


@dataclass(frozen=True)
class InputDraw:
    """The draw of one input.

    Args:
        name: Its name.
        shape: Its shape without the batch axis.
        dtype: Its dtype.
        entries: The entries of the tables that read it.
        value_range: The range of its numbers; `None` if it is still open, or the input is looked up.
        frequencies: Relative frequency of each entry of the table. Defaults to `None`, equal.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    entries: Entries
    value_range: ValueRange | None
    frequencies: np.ndarray | None = None

    @property
    def numeric(self) -> bool:
        """Whether it takes numbers that are not looked up: floating-point ones, or images of whole numbers."""
        return "float" in self.dtype or (self.image and self.dtype not in ("bool", "string"))

    @property
    def is_open(self) -> bool:
        """Whether its range is still to be found."""
        return self.numeric and self.value_range is None

    @property
    def image(self) -> bool:
        """Whether it takes images."""
        return len(self.shape) + 1 == _IMAGE and self.entries.table is None

    def noise(self, size: int, generator: np.random.Generator) -> np.ndarray:
        """Returns random examples.

        Args:
            size: Number of examples.
            generator: Source of random numbers.
        """
        shape = (size, *self.shape)
        if self.value_range is not None:
            return smooth_noise(shape, self.value_range, generator)
        if len(self.entries.known):
            return np.asarray(self.entries.known)[generator.integers(0, len(self.entries.known), shape)]
        if self.entries.table is None:
            return np.ones(shape)
        return tokens(shape, self.entries.table, generator, self.frequencies)

    def cast(self, x: np.ndarray) -> np.ndarray:
        """Returns examples in the dtype of the input; whole numbers are rounded."""
        return (x if "float" in self.dtype or x.dtype.kind != "f" else np.round(x)).astype(self.dtype)
