"""Random inputs as smooth as photographs, and random tokens."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from scipy.ndimage import gaussian_filter

from kerasprune.synthesis.value_range import ValueRange

_SIDE = 32  # pixels, at which the blurs are measured
BLURS = (0.75, 1.5, 3.0)
"""Standard deviations of the blur at 32 pixels, in pixels; each for as many of the examples."""


def smooth_noise(
    shape: Sequence[int], value_range: ValueRange, generator: np.random.Generator, blurs: Sequence[float] = BLURS
) -> np.ndarray:
    """Returns Gaussian noise, blurred along all axes between the first and the channels, clipped to a range.

    `x = clip(middle + spread · blurred / std(blurred), low, high)`

    Args:
        shape: Shape of the batch, the number of examples first.
        value_range: Mean, deviation and bounds of the numbers.
        generator: Source of random numbers.
        blurs: Blurs at 32 pixels, for one example after another. Defaults to three.

    Example:
        >>> import numpy as np
        >>> from kerasprune.synthesis.value_range import STANDARD
        >>> smooth_noise((2, 8, 8, 3), STANDARD, np.random.default_rng(0)).shape
        (2, 8, 8, 3)
    """
    noise = generator.standard_normal(shape, "float32")
    channels = 1 if keras.config.image_data_format() == "channels_first" else len(shape) - 1
    inner = [axis for axis in range(1, len(shape)) if axis != channels]
    if inner:
        for example, blur in zip(noise, np.resize(blurs, len(noise)), strict=True):
            widths = [blur * shape[axis] / _SIDE if axis in inner else 0.0 for axis in range(1, len(shape))]
            gaussian_filter(example, widths, mode="wrap", output=example)
            example /= example.std() or 1.0
    scaled = value_range.middle + value_range.spread * noise
    return np.clip(scaled, value_range.low, value_range.high).astype("float32")


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
