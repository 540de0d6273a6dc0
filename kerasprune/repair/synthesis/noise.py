"""Random inputs as smooth as photographs: noise of several sizes on top of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from keras import ops

from kerasprune.repair.synthesis.value_range import ValueRange

SIZES = (1, 2, 4, 8)
"""Pixels of the input that a pixel of each level covers along a side."""
TRIED = {"slope": (0.0, 0.5, 1.0, 1.5, 2.0), "colour": (0.02, 0.1, 0.5, 1.0), "stretch": (0.5, 1.0, 1.5)}
"""Values of the arguments of `Noise` that are tried by the distance of the noise."""
STEPS_TRIED = (0.0, 1.0)
"""Values of `Noise.step` that are tried by a short fit."""
_RGB = 3

Levels = list[Any]
"""One array or tensor for each size, from fine to coarse."""


@dataclass(frozen=True)
class Noise:
    """Noise of one input, a sum of levels of several sizes s, each enlarged to the size of the input.

    `x = clip(middle + stretch · spread · Σ_s w_s · enlarged(z_s), low, high)`, with w_s ∝ s^step and Gaussian z_s, at
    first of standard deviation ∝ s^slope / w_s. With a larger `step`, a fit changes coarse levels more than fine ones.
    Inputs without sides have one level.

    Args:
        shape: Shape of an example.
        value_range: Mean, deviation and bounds of the numbers.
        slope: Exponent of the amplitudes: 0 = white, 1.5 = as smooth as photographs. Defaults to 1.5.
        colour: Share of the variance that the three channels of a colour image do not have in common. Defaults to 0.1.
        stretch: Factor of the deviation. Defaults to 1.0.
        step: Exponent of the weights of the levels, in proportion to which a step of a fit changes them. Defaults to
            0.0, all alike.
        channels_first: Whether the channels of images and sequences come before their sides. Defaults to `False`.
    """

    shape: tuple[int, ...]
    value_range: ValueRange
    slope: float = 1.5
    colour: float = 0.1
    stretch: float = 1.0
    step: float = 0.0
    channels_first: bool = False

    @property
    def _sides(self) -> tuple[int, ...]:
        """The sides of an image, or the length of a sequence; empty for other inputs."""
        sides = self.shape[1:] if self.channels_first else self.shape[:-1]
        return sides if len(self.shape) in (2, 3) else ()

    @property
    def _channels(self) -> tuple[int, ...]:
        """The number of channels; empty for inputs of one number."""
        return self.shape[:1] if self.channels_first else self.shape[-1:]

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(size for size in SIZES if not self._sides or 2 * size <= max(self._sides)) if self._sides else (1,)

    def _amplitudes(self, slope: float) -> np.ndarray:
        found = np.array([size**slope for size in self._sizes])
        return found / np.linalg.norm(found)

    def draw(self, size: int, generator: np.random.Generator) -> Levels:
        """Returns the levels of random examples.

        Args:
            size: Number of examples.
            generator: Source of random numbers.
        """
        channels = (1 + _RGB,) if self._coloured else self._channels  # one in common, and one for each colour
        weights = self._amplitudes(self.slope) / self._amplitudes(self.step)
        sides = [tuple(ceil(side / each) for side in self._sides) for each in self._sizes]
        shapes = [(size, *each, *channels) if self._sides else (size, *self.shape) for each in sides]
        return [
            np.float32(weight) * generator.standard_normal(shape, "float32")
            for weight, shape in zip(weights, shapes, strict=True)
        ]

    def compose(self, levels: Sequence[Any]) -> Any:
        """Returns the examples of levels, a tensor."""
        total = 0.0
        levels = map(ops.convert_to_tensor, levels)
        for level, size, weight in zip(levels, self._sizes, self._amplitudes(self.step), strict=True):
            if self._coloured:
                level = sqrt(1 - self.colour) * level[..., :1] + sqrt(self.colour) * level[..., 1:]
            total = total + float(weight) * (level if size == 1 else self._enlarged(level))
        if self._sides and self.channels_first:
            total = ops.moveaxis(total, -1, 1)
        r = self.value_range
        x = ops.add(r.middle, ops.multiply(total, np.asarray(self.stretch * r.spread, "float32")))
        return ops.clip(x, r.low, r.high) if np.all(np.isfinite(r.low)) else x

    @property
    def _coloured(self) -> bool:
        return len(self._sides) == 2 and self._channels == (_RGB,)

    def _enlarged(self, level: Any) -> Any:
        """Returns a level at the size of the input; a sequence is an image one pixel wide."""
        image = level if len(self._sides) == 2 else ops.expand_dims(level, 2)
        sides = self._sides if len(self._sides) == 2 else (*self._sides, 1)
        image = ops.image.resize(image, sides, interpolation="bicubic", data_format="channels_last")
        return image if len(self._sides) == 2 else ops.squeeze(image, 2)


def tokens(
    shape: Sequence[int], number: int, generator: np.random.Generator, frequencies: np.ndarray | None = None
) -> np.ndarray:
    """Returns random entries of a table.

    Args:
        shape: Shape of the batch.
        number: Number of entries of the table.
        generator: Source of random numbers.
        frequencies: Relative frequency of each entry. Defaults to `None`, equal.
    """
    shares = None if frequencies is None else frequencies / frequencies.sum()
    return generator.choice(number, size=tuple(shape), p=shares)
