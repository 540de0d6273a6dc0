"""Scenes of digits with the labels of all points of a detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasprune.backend.reader import tf
from kerasprune.models.sets.points import Points
from kerasprune.models.sets.scenes import scenes

_NAMES = ("classes", "distances")


def point_scenes(
    split: str = "train",
    *,
    side: int = 128,
    number: int | None = None,
    batch: int = 32,
    seed: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Returns scenes of one to eight digits in batches, with labels and weights of all points, to train a detector.

    Args:
        split: `"train"`, which is shuffled, `"validation"` or `"test"`. Defaults to `"train"`.
        side: Height and width in pixels, a multiple of 16 from 32 on. Defaults to 128.
        number: Number of scenes. Defaults to 4,000 for training, 1,000 for the others.
        batch: Scenes in a batch. Defaults to 32.
        seed: Seed of the scenes and of their order. Defaults to 0.
        workers: Processes that draw. Defaults to 1: none but this one.

    Returns:
        Batches of (images as of `kp.data.scenes`, labels, weights), the latter two as of `Points.labels`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> images, labels, weights = next(iter(point_scenes(split="validation", side=32, number=4)))
        >>> labels["classes"].shape, weights["distances"].shape
        (TensorShape([4, 84, 10]), TensorShape([4, 84]))
    """
    points = Points(side, side)
    total = len(points.places)
    shapes = [(None, total, points.classes), (None, total, 4), (None, total), (None, total)]

    def encode(boxes: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
        return [part[name] for part in points.labels(boxes, classes) for name in _NAMES]

    def labelled(x: Any, y: Any) -> Any:
        made = tf.numpy_function(encode, [y["boxes"], y["classes"]], [tf.float32] * len(shapes))
        for each, shape in zip(made, shapes, strict=True):
            each.set_shape(shape)
        return x, dict(zip(_NAMES, made[:2], strict=True)), dict(zip(_NAMES, made[2:], strict=True))

    data = scenes(split=split, side=side, labels="boxes", number=number, batch=batch, seed=seed, workers=workers)
    return data.map(labelled, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
