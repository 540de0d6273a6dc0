"""`load`: from the name of a data set to batches for `model.fit`, the same ones for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from kerasprune.data.augmentation import augmentations, resize
from kerasprune.data.sources import DataInfo, Indexed, Source
from kerasprune.errors import PruneError, nearest

Augmentation = Callable[[tf.Tensor, int, tf.Tensor], tf.Tensor]
NAMES = ("digits", "glyphs", "glyphs/small", "glyphs/tiny")


def find(name: str, data_dir: str | None = None) -> Source:
    if name == "glyphs" or name.startswith("glyphs/"):
        from kerasprune.data.glyphs import glyphs

        return glyphs(name.partition("/")[2] or "full", data_dir)
    raise PruneError(f"Expected a known data set. Received: name={name!r}.{nearest(name, NAMES)}")


def load(
    name: str,
    *,
    size: int = 32,
    batch: int = 128,
    split: str = "train",
    augment: str | Augmentation | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    first_step: int = 0,
    data_dir: str | None = None,
) -> tf.data.Dataset:
    source = find(name, data_dir)
    pictures = source.pictures(split)
    if split != "train":
        return _in_order(pictures, source.info, size, batch)
    augmentation = augmentations.member(augment) if isinstance(augment, str) else augment
    return _shuffled(pictures, source.info, size, batch, augmentation, seed, first_epoch)


def _in_order(pictures: Indexed, info: DataInfo, size: int, batch: int) -> tf.data.Dataset:
    def prepare(position: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del position
        image, label = pictures.decode(record)
        return resize(standardise(image, info), size), label

    examples = pictures.in_order().map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.batch(batch).prefetch(tf.data.AUTOTUNE)


def _shuffled(
    pictures: Indexed,
    info: DataInfo,
    size: int,
    batch: int,
    augmentation: Augmentation | None,
    seed: int,
    first_epoch: int,
) -> tf.data.Dataset:
    steps = len(pictures.labels) // batch
    with tf.device("CPU"):
        counter = tf.Variable(first_epoch, dtype=tf.int64, trainable=False)

    def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
        epoch = counter.read_value()
        epoch_seed = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch)
        return pictures.shuffled(epoch_seed).map(
            lambda position, record: (epoch, epoch_seed, position, record)
        )

    def prepare(epoch, epoch_seed, position, record):
        image, label = pictures.decode(record)
        image = standardise(image, info)
        if augmentation is None:
            return epoch, resize(image, size), label
        return epoch, augmentation(image, size, tf.random.fold_in(epoch_seed, position + 1)), label

    def hand_out(step, example):
        epoch, images, labels = example
        counter.assign(tf.where(step + 1 < steps, counter, epoch[0] + 1))
        return images, labels

    epochs = tf.data.Dataset.from_tensors(0).flat_map(one_epoch)
    batches = epochs.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).batch(batch, drop_remainder=True)
    handed = batches.prefetch(tf.data.AUTOTUNE).enumerate().map(hand_out)
    return handed.apply(tf.data.experimental.assert_cardinality(steps))


def standardise(image: tf.Tensor, info: DataInfo) -> tf.Tensor:
    """Returns `(image / 255 - mean) / std` as float32."""
    return (tf.cast(image, tf.float32) / 255.0 - tf.constant(info.mean)) / tf.constant(info.std)
