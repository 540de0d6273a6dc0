"""`rounds`: a data set whose images become smaller, or larger, after every few epochs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import tensorflow as tf

from kerasprune.data.augmentation import Augmentation, resize_and_crop
from kerasprune.data.dataset import (
    augmentation_of,
    standardise,
    wrong_augmentation,
    wrong_crop,
    wrong_numbers,
    wrong_split,
)
from kerasprune.data.epochs import epochs, passes
from kerasprune.data.lookup import find
from kerasprune.errors import raise_faults


def rounds(
    name: str | Path,
    *,
    sizes: Sequence[int],
    epochs_per_round: int,
    batch: int = 128,
    split: str = "train",
    augment: str | Augmentation | None = None,
    evaluation_crop: float = 1.0,
    antialias: bool = True,
    seed: int = 0,
    first_epoch: int = 0,
    data_dir: str | None = None,
) -> tf.data.Dataset:
    """Returns a split of a data set whose image side depends on the epoch: `sizes[epoch // epochs_per_round]`.

    Otherwise as `load`. Which epoch it is, the data set counts itself, by complete iterations; so take one for training
    and another, with `split="validation"`, for `validation_data`, and hand them to one `fit` only. Within an epoch all
    shapes are the same; a step compiled with `jit_compile=True` is compiled once for each size. The model must leave
    its input sides free.

    Args:
        name: As for `load`, as are the others that are not listed.
        sizes: Height and width in pixels of each round; after the last round its size stays.
        epochs_per_round: Number of epochs of each round.
        batch: Images a batch. Defaults to 128.
        split: `"train"`, `"validation"`, `"test"`, … Defaults to `"train"`.
        augment: For the training split only. Defaults to `None`.
        evaluation_crop: For the other splits only. Defaults to 1.0.
        antialias: Whether shrinking averages. Defaults to `True`.
        seed: Decides order and augmentation. Defaults to 0.
        first_epoch: Number of the epoch that the first iteration gives. Defaults to 0.
        data_dir: Where tfds keeps its files.

    Returns:
        Batches of (float32 of shape (batch, None, None, 3), int32 of shape (batch,)), their number known.

    Raises:
        PruneError: As for `load`, and where `sizes` is empty.

    Example:
        >>> train = rounds("digits", sizes=[16, 12], epochs_per_round=1, batch=64)
        >>> [next(iter(train))[0].shape[1]] + [images.shape[1] for _ in range(2) for images, _ in train][::18]
        [16, 16, 12]
    """
    source = find(name, data_dir)
    sides = list(sizes) if isinstance(sizes, Iterable) else []
    faults = [] if sides else [f"Expected one size per round. Received: sizes={sizes!r}."]
    faults += [fault for side in sides for fault in wrong_numbers(sizes=(side, 1))]
    faults += wrong_numbers(
        epochs_per_round=(epochs_per_round, 1), batch=(batch, 1), seed=(seed, 0), first_epoch=(first_epoch, 0)
    )
    faults += [*wrong_split(source.info, split, batch, 0), *wrong_augmentation(source.info, split, augment, antialias)]
    faults += wrong_crop(split, evaluation_crop)
    raise_faults(f"The data set {source.info.name!r} cannot be loaded like this.", faults)
    training = split == "train"
    augmentation = augmentation_of(augment, antialias)
    evaluated = partial(resize_and_crop, fraction=evaluation_crop, antialias=antialias)

    def frame(image: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        scaled = standardise(image, source.info)
        side = tf.gather(sides, tf.minimum(epoch // epochs_per_round, len(sides) - 1))
        sized = augmentation(scaled, side, seed) if training else evaluated(scaled, side)
        return tf.ensure_shape(sized, (None, None, 3))

    images = source.images(split)
    called = f"{source.info.name} {split} sizes={sides} batch={batch} seed={seed}"
    if training:
        return epochs(images, frame, batch=batch, seed=seed, first_epoch=first_epoch, name=called)
    return passes(images, frame, batch=batch, first_epoch=first_epoch, name=called)
