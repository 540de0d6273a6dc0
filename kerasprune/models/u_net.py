"""A U-Net for segmentation: an encoder, a decoder, and connections that concatenate."""

from __future__ import annotations

import keras

from kerasprune.checks import positive_faults, whole_number_faults
from kerasprune.models import arguments
from kerasprune.models.parts import Parts, scale_width

CHANNELS = 16
"""Of the first level; every level below has twice as many."""


def unet(
    classes: int = 11,
    input_shape: arguments.InputShape = (64, 64, 3),
    levels: int = 3,
    width: float = 1,
    seed: int | None = None,
) -> keras.Model:
    """Builds a U-Net with BatchNorm, padded convolutions and nearest-neighbour upsampling.

    Args:
        classes: Number of logits of a pixel, the background among them. Defaults to 11.
        input_shape: `(height, width, channels)`; sides may be `None`, given ones are divided by 2 once for each level.
            Defaults to `(64, 64, 3)`.
        levels: How often the side is halved. Defaults to 3.
        width: Multiplies the channels, 16 on the first level and twice as many on every further one. Defaults to 1.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, height, width, classes)`.

    Example:
        >>> unet(3, (32, 48, 3)).output.shape
        (None, 32, 48, 3)

    Reference:
        Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015.
    """
    faults = [*whole_number_faults(1, levels=levels), *positive_faults(width=width)]
    halvings = 0 if faults else levels
    x = images = arguments.checked_images(
        "unet", classes, input_shape, seed, faults, halvings=halvings, halved_by="levels"
    )
    parts, kept = Parts(seed), []
    channels = [scale_width(CHANNELS * 2**level, width) for level in range(levels + 1)]
    for level, each in enumerate(channels):
        if level:
            x = keras.layers.MaxPooling2D(name=f"down{level}_pool")(x)
        x = _pair(parts, x, each, f"down{level}")
        kept.append(x)
    for level in range(levels - 1, -1, -1):
        x = keras.layers.UpSampling2D(name=f"up{level}_larger")(x)
        x = parts.unit(x, channels[level], 3, f"up{level}", 0)
        x = keras.layers.Concatenate(name=f"up{level}_both")([kept[level], x])
        x = _pair(parts, x, channels[level], f"up{level}")
    logits = keras.layers.Conv2D(classes, 1, kernel_initializer=parts.initializer("logits"), name="logits")
    return keras.Model(images, logits(x), name="unet")


def _pair(parts: Parts, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Applies two convolutions with BatchNorm and ReLU."""
    for number in (1, 2):
        x = parts.unit(x, channels, 3, name, number)
    return x
