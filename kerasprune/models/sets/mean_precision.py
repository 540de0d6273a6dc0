"""How good a detector's boxes are: the mean average precision of COCO."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from kerasprune.errors import extras
from kerasprune.models.sets.points import STRIDES, Points


@extras("mean_precision")
def mean_precision(model: keras.Model, scenes: Iterable[Any], points: Points | None = None) -> float:
    """Returns the mean average precision of a detector at an overlap of .5: the mean over classes.

    The boxes of labels of points are those that some point sees; a box that none sees is not missed.

    Args:
        model: The detector.
        scenes: Batches of images and labels: boxes and classes as of `kp.data.scenes`, or those of points. One such
            tuple is one batch, so this is a function `metric=` of `kp.smallest`.
        points: The detector's points. Defaults to `None`: those of square images.

    Returns:
        The precision in [0, 1].

    Raises:
        PruneError: The extra `detect` is not installed.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.fcos(10, (32, 32, 3), width=8, seed=0)
        >>> mean_precision(model, kp.data.scenes(split="test", side=32, labels="boxes", number=4)) < 0.1
        True

    Reference:
        Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = list[dict[str, Any]](), list[dict[str, Any]]()
    first, classes = 0, 0
    for images, labels, *_ in [scenes] if isinstance(scenes, tuple) else scenes:
        labels, made = (_by_name(each) for each in (labels, model.predict(images, verbose=0)))
        classes = made["classes"].shape[-1]
        at = points or _of_square(made["classes"])
        for scene, row in enumerate(zip(*labels.values(), *made.values(), strict=True), first):
            wanted_boxes, wanted_classes, distances, logits = row
            truth += _rows(scene, *_wanted(at, wanted_boxes, wanted_classes))
            boxes, scores, numbers = at.boxes(logits, distances)
            found += [
                row | {"score": float(score)} for row, score in zip(_rows(scene, boxes, numbers), scores, strict=True)
            ]
        first += len(made["classes"])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": scene} for scene in range(first)],
            "annotations": [row | {"id": number, "iscrowd": 0} for number, row in enumerate(truth, 1)],
            "categories": [{"id": each} for each in range(classes)],
        }
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return max(float(judged.stats[1]), 0.0)


def _by_name(values: Any) -> dict[str, np.ndarray]:
    """Returns boxes and classes as arrays: `kp.smallest` gives outputs as a list, in the order of their names."""
    pairs = values if isinstance(values, dict) else dict(zip(("boxes", "classes"), values, strict=True))
    return {name: np.asarray(pairs[name]) for name in ("boxes", "classes")}


def _of_square(logits: np.ndarray) -> Points:
    """Returns the points of a square image, as many as there are logits for."""
    side = round((logits.shape[1] / sum(stride**-2 for stride in STRIDES)) ** 0.5)
    return Points(side, side, logits.shape[-1])


def _wanted(points: Points, boxes: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the boxes of an image that are to be found, and their classes."""
    if classes.ndim == 2:
        return points.boxes_of_labels(classes, boxes)
    return boxes[classes >= 0], classes[classes >= 0]


def _rows(scene: int, boxes: np.ndarray, classes: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
    """Returns boxes as COCO wants them."""
    corners = np.asarray(boxes, float)
    sizes = corners[:, 2:] - corners[:, :2]
    return [
        {
            "image_id": scene,
            "category_id": int(label),
            "bbox": [*corner.tolist(), *size.tolist()],
            "area": float(size[0] * size[1]),
        }
        for corner, size, label in zip(corners[:, :2], sizes, classes, strict=True)
    ]
