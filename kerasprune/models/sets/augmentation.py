"""Augmentations: pure functions `(image, size, seed) -> image`.

The image is a standardised float32 image of shape (height, width, 3), so that 0 is the data set's mean colour; the
seed holds the two int64 of a stateless random operation. The size is a number, or a scalar int32 tensor if it changes
from epoch to epoch. An augmentation that can resize without antialiasing also has a keyword `antialias`.
"""

from __future__ import annotations

from collections.abc import Callable

from kerasprune.backend.reader import tf

Augmentation = Callable[[tf.Tensor, int | tf.Tensor, tf.Tensor], tf.Tensor]
# These mirror the image, which changes the class of letters and digits.
MIRRORING = frozenset({"crop_flip", "inception"})


def resize(image: tf.Tensor, size: int | tf.Tensor, *, antialias: bool = True) -> tf.Tensor:
    """Resizes the middle square to `size` x `size`: bilinear, with antialiasing or without if it shrinks."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    middle = tf.slice(image, [(height - side) // 2, (width - side) // 2, 0], [side, side, 3])
    return tf.image.resize(middle, (size, size), antialias=antialias)


def resize_and_crop(
    image: tf.Tensor, size: int | tf.Tensor, fraction: float = 1.0, *, antialias: bool = True
) -> tf.Tensor:
    """Resizes the shorter side to `size / fraction` and crops the middle `size` x `size`: 256 and 224 at 0.875."""
    if fraction == 1:
        return resize(image, size, antialias=antialias)
    shape = tf.shape(image)[:2]
    shorter = tf.cast(tf.round(tf.cast(size, tf.float64) / fraction), tf.int32)
    sides = shape * shorter // tf.reduce_min(shape)
    resized = tf.image.resize(image, sides, antialias=antialias)
    return tf.slice(resized, tf.concat([(sides - size) // 2, [0]], 0), (size, size, 3))


def crop(image: tf.Tensor, size: int | tf.Tensor, seed: tf.Tensor, *, antialias: bool = True) -> tf.Tensor:
    """Resizes, pads each side by an eighth (4 pixels at 32) of the mean colour, and crops at random."""
    rim = tf.maximum(1, tf.cast(tf.round(size / 8), tf.int32))
    padded = tf.pad(resize(image, size, antialias=antialias), [[rim, rim], [rim, rim], [0, 0]])
    return tf.image.stateless_random_crop(padded, (size, size, 3), seed)


def crop_flip(image: tf.Tensor, size: int | tf.Tensor, seed: tf.Tensor, *, antialias: bool = True) -> tf.Tensor:
    """Crops as `crop`, then mirrors every other image: the usual augmentation for CIFAR."""
    where, mirrored = tf.unstack(tf.random.split(seed, 2))
    return tf.image.stateless_random_flip_left_right(crop(image, size, where, antialias=antialias), mirrored)


def inception(image: tf.Tensor, size: int | tf.Tensor, seed: tf.Tensor, *, antialias: bool = True) -> tf.Tensor:
    """Resizes a random box (8 to 100 % of the area, 3:4 to 4:3), mirrors every other one: for ImageNet.

    Reference:
        Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.
    """
    where, mirrored = tf.unstack(tf.random.split(seed, 2))
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        where,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    box = tf.slice(image, begin, extent)
    resized = tf.image.resize(box, (size, size), antialias=antialias)
    return tf.image.stateless_random_flip_left_right(resized, mirrored)
