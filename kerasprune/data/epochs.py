"""One epoch after another: order and augmentation of each are a pure function of `(seed, epoch)`.

Everything random is stateless, seeded by the seed, the epoch and the position in the epoch. The only state is the
number of the epoch: a variable that is read when an iteration begins, and set to the next epoch when the last batch is
yielded. Counting iterations would be wrong: `model.fit` opens some that it does not read to the end.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kerasprune.backend.reader import tf
from kerasprune.data.epoch_counters import positions
from kerasprune.data.sources import Images

Frame = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps a uint8 original, a seed (two int64) and the number of the epoch to a float32 image."""


def epochs(
    images: Images, frame: Frame, *, batch: int, seed: int, first_epoch: int = 0, name: str = ""
) -> tf.data.Dataset:
    """Returns training batches; each complete iteration is the next epoch.

    After an incomplete iteration the next one repeats the epoch.

    Args:
        images: The training split.
        frame: Makes the images of an epoch, all of one shape.
        batch: Images per batch. The remainder of an epoch is dropped.
        seed: Determines, with the number of the epoch, everything random.
        first_epoch: Number of the first epoch. Defaults to 0.
        name: Name of the set in a saved position. Defaults to `""`.

    Returns:
        `(images, labels)` batches, `count // batch` of them an epoch.
    """
    steps = images.count // batch
    return counted(lambda begin: _batches(begin, images, frame, batch, seed), steps, first_epoch, name)


def passes(images: Images, frame: Frame, *, batch: int, first_epoch: int = 0, name: str = "") -> tf.data.Dataset:
    """Returns all images in stored order; each complete iteration is the next epoch.

    Args:
        images: The split.
        frame: Makes the images of an epoch; its seed is 0.
        batch: Images per batch; the last one may be smaller.
        first_epoch: Number of the first epoch. Defaults to 0.
        name: Name of the set in a saved position. Defaults to `""`.

    Returns:
        `(images, labels)` batches.
    """

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        return images.in_order().enumerate().map(lambda _, record: (epoch, tf.zeros(2, tf.int64), record))

    def batches(begin: tf.data.Dataset) -> tf.data.Dataset:
        return _prepared(begin.flat_map(one_epoch), images, frame).batch(batch).prefetch(tf.data.AUTOTUNE)

    return counted(batches, -(-images.count // batch), first_epoch, name)


def counted(
    batches: Callable[[tf.data.Dataset], tf.data.Dataset], steps: int, first_epoch: int, name: str = ""
) -> tf.data.Dataset:
    """Returns a data set that counts its epochs.

    Args:
        batches: Maps a data set of one epoch number to the `(epoch, images, labels)` batches of that epoch.
        steps: Number of them.
        first_epoch: Number of the first epoch.
        name: Name of the set in a saved position. Defaults to `""`.
    """
    with ThreadPoolExecutor(1) as thread:  # a strategy mirrors what is made in the thread that is in its scope
        counter = thread.submit(_counter, first_epoch).result()
    begin = tf.data.Dataset.from_tensors(0).map(lambda _: counter.read_value())

    def hand_out(step: tf.Tensor, example: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, images, labels = example
        counter.assign(tf.where(step < steps - 1, counter, epoch[0] + 1))
        return images, labels

    # Not in parallel and after prefetching, so that it runs only for batches that are read.
    handed = batches(begin).enumerate().map(hand_out)
    data = handed.apply(tf.data.experimental.assert_cardinality(steps))
    positions.add(data, name, counter)
    return data


def _counter(first: int) -> tf.Variable:
    with tf.device("CPU"):
        return tf.Variable(first, dtype=tf.int64, trainable=False)


def rest_of_epoch(
    images: Images, frame: Frame, *, batch: int, seed: int, epoch: int, first_step: int
) -> tf.data.Dataset:
    """Returns the batches of one epoch of `epochs` from `first_step` on, the same in every iteration."""
    begin = tf.data.Dataset.from_tensors(tf.constant(epoch, tf.int64))
    batches = _batches(begin, images, frame, batch, seed, skip=first_step * batch)
    rest = batches.map(lambda epoch, images, labels: (images, labels))
    return rest.apply(tf.data.experimental.assert_cardinality(images.count // batch - first_step))


def _batches(
    begin: tf.data.Dataset, images: Images, frame: Frame, batch: int, seed: int, skip: int = 0
) -> tf.data.Dataset:
    """Returns `(epoch, images, labels)` batches of the epochs that `begin` names."""

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch)
        records = images.shuffled(epoch_seed).enumerate().skip(skip)
        return records.map(lambda index, record: (epoch, tf.random.fold_in(epoch_seed, index), record))

    examples = _prepared(begin.flat_map(one_epoch), images, frame)
    return examples.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _prepared(records: tf.data.Dataset, images: Images, frame: Frame) -> tf.data.Dataset:
    """Returns `(epoch, image, label)` of `(epoch, seed, record)`."""

    def prepare(epoch: tf.Tensor, seed: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = images.decode(record)
        return epoch, frame(image, seed, epoch), label

    return records.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
