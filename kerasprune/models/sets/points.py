"""Where a detector without anchors says what it sees: points on the levels of a pyramid, their labels and losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.checks import whole_number_faults
from kerasprune.errors import raise_faults

STRIDES = (4, 8, 16)
"""Pixels between the points of each level."""
REACHES = ((0, 20), (20, 32), (32, np.inf))
"""How far the farthest side of a box is from the points of each level, in pixels: above, up to."""
_NEAR = 1.5  # strides between a point and the middle of its box
_TRIED = 300  # boxes of an image that may overlap
_TAKEN = 100  # of these, as many as COCO counts
_OVERLAP = 0.6  # of boxes of a class, beyond which the better one is taken

Labels = dict[str, np.ndarray]


@dataclass(frozen=True)
class Points:
    """The points of an image.

    Args:
        height: Of the images in pixels, a multiple of 16. Defaults to 128.
        width: Of the images in pixels, a multiple of 16. Defaults to 128.
        classes: Number of classes. Defaults to 10.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> Points(32, 48).places.shape
        (126, 2)
    """

    height: int = 128
    width: int = 128
    classes: int = 10

    def __post_init__(self) -> None:
        sides = {"height": self.height, "width": self.width}
        faults = whole_number_faults(1, **sides, classes=self.classes)
        if not faults:
            faults = [
                f"Expected {name} to be a multiple of {STRIDES[-1]}. Received: {name}={side}."
                for name, side in sides.items()
                if side % STRIDES[-1]
            ]
        raise_faults("Invalid arguments for Points:", faults)

    @cached_property
    def places(self) -> np.ndarray:
        """Column and row of each point in pixels, (points, 2): level by level, row by row."""
        found = []
        for stride in STRIDES:
            lines = [(np.arange(side // stride) + 0.5) * stride for side in (self.width, self.height)]
            found.append(np.stack([each.ravel() for each in np.meshgrid(*lines)], axis=-1))
        return np.concatenate(found)

    @cached_property
    def _levels(self) -> np.ndarray:
        """The number of the level of each point."""
        return np.repeat(range(len(STRIDES)), [self.height // each * (self.width // each) for each in STRIDES])

    def labels(self, boxes: np.ndarray, classes: np.ndarray) -> tuple[Labels, Labels]:
        """Returns the labels of every point, which are of the smallest box near whose middle it lies, and weights.

        A box is seen by the points inside it that are within 1.5 strides of its middle, on the level whose reach its
        farthest side is in. In the mean over all points the boxes of an image, and its objects' classes, count as
        much as one: their weights are the number of points over that of the points that see a box.

        Args:
            boxes: Left, top, right, bottom in pixels, of shape (images, boxes, 4).
            classes: Their classes, of shape (images, boxes); −1 for rows without a box.

        Returns:
            `{"classes": 0 or 1, (images, points, classes), "distances": to left, top, right, bottom, (images, points,
            4)}`, the distances 1 without a box; and the weights of both, (images, points). All float32.
        """
        if not classes.shape[1]:  # none of the images has a row of boxes
            boxes, classes = np.zeros((len(boxes), 1, 4)), np.full((len(boxes), 1), -1)
        place, stride = self.places[:, None], np.take(STRIDES, self._levels)[:, None, None]
        reach = np.take(REACHES, self._levels, axis=0)
        sides = np.concatenate([place - boxes[:, None, :, :2], boxes[:, None, :, 2:] - place], axis=-1)
        middle = (boxes[:, None, :, :2] + boxes[:, None, :, 2:]) / 2
        most = sides.max(axis=-1)
        fits = (np.abs(place - middle) <= _NEAR * stride).all(axis=-1)
        fits &= (sides.min(axis=-1) > 0) & (classes >= 0)[:, None]
        fits &= (most > reach[:, :1]) & (most <= reach[:, 1:])
        area = np.where(fits, _areas(boxes)[:, None], np.inf)
        nearest, seen = area.argmin(axis=-1), fits.any(axis=-1)
        hot = (np.take_along_axis(classes, nearest, axis=1)[..., None] == np.arange(self.classes)) & seen[..., None]
        chosen = np.take_along_axis(sides, nearest[..., None, None], axis=2)[:, :, 0]
        share = np.broadcast_to(len(place) / np.maximum(seen.sum(axis=1, keepdims=True), 1), seen.shape)
        labels = {"classes": hot, "distances": np.where(seen[..., None], chosen, 1)}
        return _float32(labels), _float32({"classes": share, "distances": seen * share})

    def boxes(self, logits: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the boxes of an image, best first; of those of a class that overlap by more than .6, the best.

        Args:
            logits: Of the classes, of shape (points, classes).
            distances: To left, top, right, bottom in pixels, of shape (points, 4).

        Returns:
            At most 100 boxes, (boxes, 4), their scores and their classes.
        """
        chosen = np.argsort(-logits, axis=None, kind="stable")[:_TRIED]
        point, label = np.unravel_index(chosen, logits.shape)
        boxes = self._around(point, distances)
        both = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2])
        shared = np.prod(np.maximum(both, 0), axis=-1)
        shared = shared / np.maximum(_areas(boxes)[:, None] + _areas(boxes) - shared, 1e-9)
        rivals, best = (shared > _OVERLAP) & (label[:, None] == label), np.zeros(len(boxes), bool)
        for number, each in enumerate(rivals):
            best[number] = not best[each].any()
        kept = np.flatnonzero(best)[:_TAKEN]
        return boxes[kept], np.exp(-np.logaddexp(0, -logits[point, label][kept])), label[kept]

    def boxes_of_labels(self, classes: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the boxes that the points of an image see, and their classes; for sides in whole pixels.

        Args:
            classes: 0 or 1, of shape (points, classes).
            distances: To left, top, right, bottom in pixels, of shape (points, 4).
        """
        point, label = np.nonzero(classes)
        rows = np.column_stack([self._around(point, distances), label])
        rows = np.unique(rows.round(2), axis=0)
        return rows[:, :4], rows[:, 4].astype(int)

    def _around(self, point: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Returns the boxes around points."""
        place, sides = self.places[point], distances[point]
        return np.concatenate([place - sides[:, :2], place + sides[:, 2:]], axis=-1)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def _float32(arrays: Mapping[str, np.ndarray]) -> Labels:
    return {name: array.astype("float32") for name, array in arrays.items()}


def detection_losses() -> dict[str, Callable[[Any, Any], Any]]:
    """Returns the losses of a detector's outputs at its points, for `model.compile`.

    Of the logits of classes the focal loss, the mean over classes of −α (1 − p)² log p, where p is the probability of
    the label and α .25 for objects, .75 for the rest. Of the distances 1 − CIoU of the two boxes around the point.

    A file of a model that is compiled with them loads with `compile=False`, or once this module is imported.

    Returns:
        `{"classes": loss, "distances": loss}`.

    Example:
        >>> sorted(detection_losses())
        ['classes', 'distances']

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; Zheng et al., Distance-IoU Loss, AAAI 2020.
    """
    focal = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True)
    return {"classes": focal, "distances": ciou_loss}


@keras.saving.register_keras_serializable("kerasprune")
def ciou_loss(wanted: Any, found: Any) -> Any:
    """Returns 1 − CIoU of two boxes around a point, each by its distances to left, top, right, bottom.

    Args:
        wanted: The labels, of shape (…, 4).
        found: The outputs, of shape (…, 4).

    Returns:
        Losses of shape (…).
    """
    signs = ops.convert_to_tensor([-1.0, -1.0, 1.0, 1.0], found.dtype)
    return 1 - keras.utils.bounding_boxes.compute_ciou(
        ops.cast(wanted, found.dtype) * signs, found * signs, bounding_box_format="xyxy"
    )
