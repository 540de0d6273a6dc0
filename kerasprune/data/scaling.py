"""Facts about a data set of images, and the scaling of its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DataInfo:
    """Classes, sizes and statistics of a data set.

    Args:
        name: The name for `load`.
        classes: Names of the classes, in the order of their labels.
        examples: Number of images by split.
        size: `(height, width)` of the originals in pixels; `None` if they differ.
        mean: Mean by colour channel of images in [0, 1]; `load` subtracts it.
        std: Standard deviation by colour channel of images in [0, 1]; `load` divides by it.
        mirror: Whether mirroring an image keeps its class, which is not so for letters. Defaults to `True`.
    """

    name: str
    classes: tuple[str, ...]
    examples: Mapping[str, int]
    size: tuple[int, int] | None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    mirror: bool = True


SCALES = ("standardise", "imagenet", "0..1", "-1..1", "0..255", "none")
"""`standardise` and `imagenet` subtract a mean and divide by a standard deviation, the data set's own or ImageNet's;
`none` and `0..255` do not scale."""
CHANNELS = (1, 3)
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601

_FIXED = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "0..1": ((0.0,) * 3, (1.0,) * 3),
    "-1..1": ((0.5,) * 3, (0.5,) * 3),
    "0..255": ((0.0,) * 3, (1 / 255,) * 3),
    "none": ((0.0,) * 3, (1 / 255,) * 3),
}


def constants(scale: str, facts: DataInfo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns `mean` and `std` by channel: a pixel p becomes `(p / 255 − mean) / std`.

    Args:
        scale: One of `SCALES`.
        facts: The data set, whose mean and standard deviation `"standardise"` uses.

    Example:
        >>> constants("-1..1", None)
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """
    return _FIXED[scale] if scale in _FIXED else (tuple(facts.mean), tuple(facts.std))


def normalise(pixels: tf.Tensor, mean: Any, std: Any) -> tf.Tensor:
    """Returns `(pixels / 255 − mean) / std` as float32; `mean` and `std` are numbers, or one for each channel."""
    from kerasprune.backend.reader import tf

    return (tf.cast(pixels, tf.float32) / 255.0 - tf.constant(mean)) / tf.constant(std)


def rescale(image: tf.Tensor, scale: str, channels: int, facts: DataInfo) -> tf.Tensor:
    """Converts a standardised image to another scale, and to grey if `channels` is 1.

    Augmentation needs standardised images, in which 0 is the mean colour, so it comes before this.

    Args:
        image: float32 of shape (height, width, 3).
        scale: One of `SCALES`.
        channels: 1 or 3.
        facts: The data set.
    """
    from kerasprune.backend.reader import tf

    if scale != "standardise":
        (mean, std), (own_mean, own_std) = constants(scale, facts), constants("standardise", facts)
        image = (image * tf.constant(own_std) + tf.constant(own_mean) - tf.constant(mean)) / tf.constant(std)
    if channels == 1:
        image = tf.reduce_sum(image * tf.constant(LUMINANCE), axis=-1, keepdims=True)
    return image
