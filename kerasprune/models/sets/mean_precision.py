"""How good a detector's boxes are: the mean average precision of COCO."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasprune.errors import PruneError, extras
from kerasprune.models.sets.points import STRIDES, Points

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval


@dataclass(frozen=True)
class MeanPrecision:
    """The mean average precision of a detector at an overlap of .5: the mean over classes, in [0, 1].

    `mean_precision(model, scenes)` returns it for batches of images and labels: boxes and classes as of
    `kp.data.scenes`, or those of points; a box that no point sees is then not missed. One such tuple is one batch, so
    it is a function `metric=` of `kp.smallest`.

    Args:
        points: The detector's points. Defaults to `None`: those of the images; of square ones, where `kp.smallest` has
            outputs in place of images.

    Raises:
        PruneError: In a call: the extra `detect` is not installed; there are no scenes; or the points are not known.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.fcos(10, (32, 32, 3), width=8, seed=0)
        >>> mean_precision(model, kp.data.scenes(split="test", side=32, labels="boxes", number=4)) < 0.1
        True

    Reference:
        Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
    """

    points: Points | None = None

    def __call__(self, model: keras.Model, scenes: Iterable[Any]) -> float:
        return self.tally(model, scenes).value

    @extras("mean_precision")
    def tally(self, model: keras.Model, scenes: Iterable[Any]) -> PrecisionTally:
        """Returns the precision as a function of how often every scene counts: each is judged once."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        truth, found = list[dict[str, Any]](), list[dict[str, Any]]()
        first, classes, points = 0, 0, self.points
        for images, labels, *_ in [scenes] if isinstance(scenes, tuple) else scenes:
            labels, made = (_by_name(each) for each in (labels, model.predict(images, verbose=0)))
            classes = made["classes"].shape[-1]
            points = points or _points_of(images, made["classes"])
            for scene, row in enumerate(zip(*labels.values(), *made.values(), strict=True), first):
                wanted_classes, wanted, logits, distances = row
                truth += _rows(scene, *_wanted(points, "boxes" in labels, wanted_classes, wanted))
                boxes, scores, numbers = points.boxes(logits, distances)
                rows = zip(_rows(scene, boxes, numbers), scores, strict=True)
                found += [row | {"score": float(score)} for row, score in rows]
            first += len(made["classes"])
        if not first:
            raise PruneError("Expected batches of scenes. Received: none. Give kp.data.scenes(..., labels='boxes').")
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": scene} for scene in range(first)],
                "annotations": [row | {"id": number, "iscrowd": 0} for number, row in enumerate(truth, 1)],
                "categories": [{"id": each} for each in range(classes)],
            }
            coco.createIndex()
            judged = COCOeval(coco, coco.loadRes(found), "bbox")
            every = judged.params.areaRng[0]  # boxes of any area
            judged.params.iouThrs, judged.params.maxDets = np.array([0.5]), judged.params.maxDets[-1:]
            judged.params.areaRng, judged.params.areaRngLbl = [every], judged.params.areaRngLbl[:1]
            judged.evaluate()
        return PrecisionTally(judged)


mean_precision = MeanPrecision()


@dataclass(frozen=True, eq=False)
class PrecisionTally:
    """The mean average precision as a function of how often every scene counts.

    Args:
        judged: The scenes, each compared with what was found in it.
    """

    judged: COCOeval

    def __len__(self) -> int:
        return len(self.judged.params.imgIds)

    def of(self, counts: np.ndarray) -> float:
        """Returns the precision if each scene counts so often."""
        scenes = np.repeat(np.arange(len(self)), counts)
        drawn, each = copy(self.judged), self.judged.evalImgs
        drawn.evalImgs = [each[at + i] for at in range(0, len(each), len(self)) for i in scenes]  # class by class
        drawn.params = deepcopy(self.judged.params)
        drawn.params.imgIds = list(range(len(scenes)))
        drawn._paramsEval = drawn.params
        with contextlib.redirect_stdout(io.StringIO()):
            drawn.accumulate()
        precision = drawn.eval["precision"]  # −1 of a class that is in no scene
        known = precision[precision > -1]
        return float(known.mean()) if known.size else 0.0

    @property
    def value(self) -> float:
        """The precision if each scene counts once."""
        return self.of(np.ones(len(self), int))


def _by_name(values: Any) -> dict[str, np.ndarray]:
    """Returns classes, and boxes or distances, as arrays: `kp.smallest` gives lists, in the order of the names."""
    pairs = values if isinstance(values, dict) else dict(zip(("classes", "distances"), values, strict=True))
    return {name: np.asarray(pairs[name]) for name in ("classes", "boxes", "distances") if name in pairs}


def _points_of(images: Any, logits: np.ndarray) -> Points:
    """Returns the points of images; where there are outputs in their place those of a square one, if any has so many.

    Raises:
        PruneError: No square image has so many.
    """
    shapes = [np.shape(each) for each in keras.tree.flatten(images)]
    if len(shapes) == 1 and len(shapes[0]) == 4:
        return Points(*shapes[0][1:3], logits.shape[-1])
    number, of_smallest = logits.shape[1], sum((STRIDES[-1] // stride) ** 2 for stride in STRIDES)
    side = STRIDES[-1] * max(round((number / of_smallest) ** 0.5), 1)
    found = Points(side, side, logits.shape[-1])
    if len(found.places) != number:
        raise PruneError(
            f"Expected the outputs of points of square images. Received: {number} points. Give "
            "metric=MeanPrecision(Points(height, width, classes))."
        )
    return found


def _wanted(points: Points, are_boxes: bool, classes: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the boxes of an image that are to be found, and their classes."""
    if are_boxes:
        return sides[classes >= 0], classes[classes >= 0]
    return points.boxes_of_labels(classes, sides)


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
