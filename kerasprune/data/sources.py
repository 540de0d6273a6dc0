"""Sources of images: facts about a data set, and the images of a split in an order given by a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasprune.backend.reader import tf
from kerasprune.data.scaling import DataInfo

SHUFFLED_AHEAD = 10_000


class Images:
    """The images of one split: records in some order, and the decoding of a record into an image and a label.

    By default records are numbers, and an epoch is a permutation of all `count` of them.
    """

    count: int

    def in_order(self) -> tf.data.Dataset:
        """Returns the records in stored order: the numbers from 0."""
        return tf.data.Dataset.range(self.count)

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        """Returns the records in an order given by the seed, two int64; called within `tf.data`."""
        numbers = tf.range(self.count, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(numbers, seed))

    def decode(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a record's uint8 image of shape (height, width, 3) and its int32 label."""
        raise NotImplementedError


@dataclass(frozen=True)
class Indexed(Images):
    """Images indexed by number: an epoch is a permutation of all of them.

    Args:
        labels: int array of shape (count,).
        image: Maps a number, an int64 scalar tensor, to a uint8 tensor of shape (height, width, 3).
    """

    labels: np.ndarray
    image: Callable[[tf.Tensor], tf.Tensor]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.labels)

    def decode(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the uint8 image and the int32 label of a number."""
        return self.image(record), tf.gather(tf.constant(self.labels, tf.int32), record)


@dataclass(frozen=True)
class Streamed(Images):
    """Images that do not fit into memory, read in sequence: an epoch is shuffled within a moving window.

    Args:
        count: Number of images.
        records: `(encoded image, label)` pairs, in a mixed order already.
        image: Maps an encoded image, a string tensor, to a uint8 tensor of shape (height, width, 3).
        window: Number of encoded images from which the next is drawn. Defaults to 10,000.
    """

    count: int
    records: tf.data.Dataset
    image: Callable[[tf.Tensor], tf.Tensor]
    window: int = SHUFFLED_AHEAD

    def in_order(self) -> tf.data.Dataset:
        """Returns the pairs in stored order."""
        return self.records

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        """Returns the pairs, shuffled within the window."""
        # `Dataset.shuffle` refuses a seed that is a tensor of a graph, and mixes the global seed in; its op does not.
        shuffled = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(self.records),
            buffer_size=self.window,
            seed=seed[0],
            seed2=seed[1],
            output_types=[tf.string, self.records.element_spec[1].dtype],
            output_shapes=[[], []],
            reshuffle_each_iteration=False,
        )
        return tf.data.experimental.from_variant(shuffled, self.records.element_spec)

    def decode(self, record: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the uint8 image and the int32 label of a pair."""
        encoded, label = record
        return self.image(encoded), tf.cast(label, tf.int32)


@dataclass(frozen=True)
class Source:
    """A data set: its facts, and a function that fetches the images of a split."""

    info: DataInfo
    images: Callable[[str], Images]


def in_memory(images: np.ndarray, labels: np.ndarray) -> Indexed:
    """Returns the images of a uint8 array of shape (count, height, width, 1 or 3), held in memory."""
    with tf.device("CPU"):  # the memory of a GPU is for the model
        held = tf.constant(images)
    return Indexed(np.asarray(labels), lambda number: in_colour(tf.gather(held, number)))


def in_colour(image: tf.Tensor) -> tf.Tensor:
    """Returns the image with three channels; a grey one is repeated."""
    return tf.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def encoded_image(content: tf.Tensor) -> tf.Tensor:
    """Returns the uint8 image of the bytes of a PNG or JPEG file."""
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))
