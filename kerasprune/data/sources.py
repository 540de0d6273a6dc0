"""What a data set is here: facts about it, and pictures by split, in memory or streamed, in a reproducible order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DataInfo:
    """Facts about a data set.

    Args:
        name: The name that `load` knows it by.
        classes: Names of the classes, in the order of their labels.
        examples: Number of pictures by split.
        size: `(height, width)` of the originals in pixels; `None` where they differ.
        mean: Mean by colour channel of pictures in [0, 1]; `load` subtracts it.
        std: Standard deviation by colour channel of pictures in [0, 1]; `load` divides by it.
        mirror: Whether a mirrored picture still belongs to its class. Letters do not.
    """

    name: str
    classes: tuple[str, ...]
    examples: Mapping[str, int]
    size: tuple[int, int] | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mirror: bool = True


@dataclass(frozen=True)
class Indexed:
    """Pictures that can be reached by number, so an epoch is a permutation of all of them.

    Args:
        labels: int array of shape (count,).
        picture: From a scalar int64 tensor, the number, to a uint8 tensor of shape (height, width, 3).
    """

    labels: np.ndarray
    picture: Callable[[tf.Tensor], tf.Tensor]

    def in_order(self) -> tf.data.Dataset:
        """Returns the `(position, record)` pairs in stored order; a record is for `decode`."""
        return tf.data.Dataset.range(len(self.labels)).enumerate()

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        """Returns the `(position, record)` pairs in the order that the stateless seed (2 integers) gives."""
        numbers = tf.range(len(self.labels), dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(numbers, seed)
        return tf.data.Dataset.from_tensor_slices(order).enumerate()

    def decode(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the uint8 picture and its int32 label."""
        return self.picture(record), tf.gather(tf.constant(self.labels, tf.int32), record)


@dataclass(frozen=True)
class Source:
    """A data set: its facts, and the pictures of each split, made when they are asked for."""

    info: DataInfo
    pictures: Callable[[str], Indexed]


def in_memory(images: np.ndarray, labels: np.ndarray) -> Indexed:
    """Returns the pictures of a uint8 array of shape (count, height, width, 3), held in the host's memory."""
    with tf.device("CPU"):  # even where there is a GPU: its memory is for the model
        held = tf.constant(images)
    return Indexed(np.asarray(labels), lambda number: tf.gather(held, number))
