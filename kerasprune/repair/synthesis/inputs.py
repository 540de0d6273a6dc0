"""How examples are drawn for one input of a model: as noise in its range, or as entries of its table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasprune.repair.synthesis.noise import Noise, tokens
from kerasprune.surgery.random_inputs import Entries

IMAGE = 3  # axes of an example


@dataclass(frozen=True)
class InputDraw:
    """The draw of one input.

    Args:
        name: Its name.
        shape: Its shape without the batch axis.
        dtype: Its dtype.
        entries: The entries of the tables that read it.
        noise: The noise of its numbers; `None` if it is looked up.
        is_open: Whether the range of the noise is still to be found.
        frequencies: Relative frequency of each entry of the table. Defaults to `None`, equal.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    entries: Entries
    noise: Noise | None
    is_open: bool
    frequencies: np.ndarray | None = None

    def changed(self, **arguments: Any) -> InputDraw:
        """Returns the draw with other arguments of the noise; a range that is known stays."""
        if self.noise is None or ("value_range" in arguments and not self.is_open):
            return self
        return replace(self, noise=replace(self.noise, **arguments))

    def draw(self, size: int, generator: np.random.Generator) -> np.ndarray:
        """Returns random entries of a table, or ones.

        Args:
            size: Number of examples.
            generator: Source of random numbers.
        """
        shape = (size, *self.shape)
        if len(self.entries.known):
            return self.cast(np.asarray(self.entries.known)[generator.integers(0, len(self.entries.known), shape)])
        if self.entries.table is None:
            return self.cast(np.ones(shape, int))
        return self.cast(tokens(shape, self.entries.table, generator, self.frequencies))

    def cast(self, x: np.ndarray) -> np.ndarray:
        """Returns examples in the dtype of the input; to integers they are rounded, within what these hold."""
        if "float" in self.dtype or x.dtype.kind != "f":
            return x.astype(self.dtype)
        return np.clip(np.round(x), np.iinfo(self.dtype).min, np.iinfo(self.dtype).max).astype(self.dtype)


def takes_numbers(shape: tuple[int, ...], dtype: str, entries: Entries) -> bool:
    """Returns whether an input takes numbers that are not looked up: floating-point ones, or pixels."""
    pixels = len(shape) == IMAGE and entries.table is None and dtype not in ("bool", "string")
    return "float" in dtype or pixels
