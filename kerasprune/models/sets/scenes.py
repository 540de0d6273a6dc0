"""`kp.data.scenes`: batches of scenes of several digits, with masks or boxes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from kerasprune.backend.reader import tf
from kerasprune.checks import choice_faults, whole_number_faults
from kerasprune.defaults import BATCH
from kerasprune.errors import extras, raise_faults

EXAMPLES = {"train": 4000, "validation": 1000, "test": 1000}
LABELS = ("masks", "boxes")
MOST = 16
"""Rows of boxes and of classes, which are padded with −1."""


@extras("kp.data.scenes")
def scenes(
    *,
    split: str = "train",
    side: int = 64,
    labels: str = "masks",
    number: int | None = None,
    batch: int = BATCH,
    seed: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Returns scenes of one to eight digits in batches, for a segmenter or a detector; they are drawn on demand.

    Args:
        split: `"train"`, which is shuffled, `"validation"` or `"test"`. Defaults to `"train"`.
        side: Height and width in pixels. Defaults to 64.
        labels: `"masks"`: 0 for the background, 1 to 10 for a digit, by pixel; or `"boxes"`: `{"boxes": left, top,
            right, bottom in pixels, "classes": 0 to 9}`, padded with −1 to 16 rows. Defaults to `"masks"`.
        number: Number of scenes. Defaults to 4,000 for training, 1,000 for the others.
        batch: Scenes in a batch. Defaults to 128.
        seed: Seed of the scenes and of their order. Defaults to 0.
        workers: Processes that draw. Defaults to 1: none but this one.

    Returns:
        Batches of (float32 of shape (batch, side, side, 3) in [0, 1], labels).

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> images, masks = next(iter(scenes(split="validation", number=4)))
        >>> images.shape, masks.shape
        (TensorShape([4, 64, 64, 3]), TensorShape([4, 64, 64]))
    """
    faults = choice_faults(tuple(EXAMPLES), split=split) + choice_faults(LABELS, labels=labels)
    number = EXAMPLES.get(split, 1) if number is None else number
    faults += whole_number_faults(24, side=side) + whole_number_faults(1, number=number, batch=batch, workers=workers)
    raise_faults("Invalid arguments for scenes:", faults)
    drawn = _drawn(seed, split, number, side, workers)
    images = np.stack([each.image for each in drawn])
    if labels == "masks":
        wanted: Any = np.stack([each.mask for each in drawn]).astype(np.int32)
    else:
        wanted = {name: np.stack([_padded(getattr(each, name)) for each in drawn]) for name in ("boxes", "classes")}
    data = tf.data.Dataset.from_tensor_slices((images, wanted))
    if split == "train":
        data = data.shuffle(number, seed=seed)
    return data.batch(batch).map(lambda x, y: (tf.cast(x, tf.float32) / 255, y)).prefetch(tf.data.AUTOTUNE)


def _drawn(seed: int, split: str, number: int, side: int, workers: int) -> list[Any]:
    from kerasprune.models.sets.glyph_scenes import draw_scene  # needs modules of extras

    draw = partial(draw_scene, seed, split, side=side)
    if workers == 1:
        return [draw(index) for index in range(number)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(draw, range(number), chunksize=64))


def _padded(rows: np.ndarray) -> np.ndarray:
    """Returns rows with −1 below them."""
    missing = [(0, MOST - len(rows)), *[(0, 0)] * (rows.ndim - 1)]
    return np.pad(rows, missing, constant_values=-1)
