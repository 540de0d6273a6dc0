"""Points of a detector: labels against a search, and back to the boxes; losses against their formulas; precision."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.models.sets.mean_precision import MeanPrecision, mean_precision
from kerasprune.models.sets.point_scenes import point_scenes
from kerasprune.models.sets.points import REACHES, STRIDES, Points, detection_losses

POINTS = Points(64, 96, 3)
BOXES = np.array(
    [
        [[10, 10, 22, 30], [40, 8, 70, 40], [46, 14, 64, 36], [-1] * 4],
        [[4, 4, 90, 60], [28, 18, 40, 46], [-1] * 4, [-1] * 4],
    ],
    "float32",
)
CLASSES = np.array([[0, 1, 2, -1], [2, 1, -1, -1]])


def seen_by(box: np.ndarray, x: float, y: float, stride: int, reach: tuple[float, float]) -> list[float] | None:
    """Returns the distances from a point to the sides of a box if it sees it."""
    left, top, right, bottom = (float(each) for each in box)
    sides = [x - left, y - top, right - x, bottom - y]
    near = abs(x - (left + right) / 2) <= 1.5 * stride and abs(y - (top + bottom) / 2) <= 1.5 * stride
    return sides if near and min(sides) > 0 and reach[0] < max(sides) <= reach[1] else None


def test_labels_are_those_of_a_search_point_by_point():
    labels, weights = POINTS.labels(BOXES, CLASSES)
    for image, (boxes, classes) in enumerate(zip(BOXES, CLASSES, strict=True)):
        point, seen = 0, 0
        for stride, reach in zip(STRIDES, REACHES, strict=True):
            for row in range(64 // stride):
                for column in range(96 // stride):
                    x, y = (column + 0.5) * stride, (row + 0.5) * stride
                    np.testing.assert_array_equal(POINTS.places[point], [x, y])
                    found = [
                        ((box[2] - box[0]) * (box[3] - box[1]), label, sides)
                        for box, label in zip(boxes, classes, strict=True)
                        if label >= 0 and (sides := seen_by(box, x, y, stride, reach)) is not None
                    ]
                    _, label, sides = min(found, default=(0, None, [1, 1, 1, 1]))
                    np.testing.assert_array_equal(labels["classes"][image, point], [label == n for n in range(3)])
                    np.testing.assert_array_equal(labels["distances"][image, point], sides)
                    assert (weights["distances"][image, point] > 0) == bool(found)
                    point, seen = point + 1, seen + bool(found)
        assert point == len(POINTS.places) and seen > 3
        np.testing.assert_allclose(weights["classes"][image], point / seen)
        np.testing.assert_allclose(weights["distances"][image].sum(), point, rtol=1e-5)


def test_labels_lead_back_to_the_boxes_and_so_do_outputs_that_say_the_same():
    labels, _ = POINTS.labels(BOXES, CLASSES)
    for image, (boxes, classes) in enumerate(zip(BOXES, CLASSES, strict=True)):
        wanted = sorted((*box, label) for box, label in zip(boxes.tolist(), classes, strict=True) if label >= 0)
        logits, distances = 20 * labels["classes"][image] - 10, labels["distances"][image]
        found, numbers = POINTS.boxes_of_labels(labels["classes"][image], distances)
        assert sorted((*box, label) for box, label in zip(found.tolist(), numbers, strict=True)) == wanted
        found, scores, numbers = POINTS.boxes(logits, distances)
        sure = scores > 0.5
        assert sorted((*b, n) for b, n in zip(found[sure].tolist(), numbers[sure], strict=True)) == wanted


class Told(keras.Model):
    """A model that answers with the labels, as logits: the images are their numbers."""

    def __init__(self, labels: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.known = {"classes": 20 * labels["classes"] - 10, "distances": labels["distances"]}

    def predict(self, x, **given):
        return {name: array[np.asarray(x)] for name, array in self.known.items()}


class Known(keras.Model):
    """A model whose inputs are its outputs."""

    def predict(self, x, **given):
        return x


def test_the_precision_of_the_labels_is_one_and_that_of_one_class_of_three_a_third():
    pytest.importorskip("pycocotools")
    labels, weights = POINTS.labels(BOXES, CLASSES)
    of_scenes = [
        ([0], {"boxes": BOXES[:1], "classes": CLASSES[:1]}),
        ([1], {"boxes": BOXES[1:], "classes": CLASSES[1:]}),
    ]
    assert MeanPrecision(POINTS)(Told(labels), of_scenes) == pytest.approx(1)
    assert MeanPrecision(POINTS)(Told(labels), (np.arange(2), labels, weights)) == pytest.approx(1)
    blind = labels | {"classes": labels["classes"] * np.array([1, 0, 0], "float32")}
    assert MeanPrecision(POINTS)(Told(blind), of_scenes) == pytest.approx(1 / 3, abs=0.01)


def test_outputs_may_be_the_list_that_smallest_gives_its_metric():
    """Known outputs in place of images, in the order of a model's flat outputs."""
    pytest.importorskip("pycocotools")
    assert keras.tree.flatten({"distances": 2, "classes": 1}) == [1, 2]
    labels, weights = POINTS.labels(BOXES, CLASSES)
    outputs = [20 * labels["classes"] - 10, labels["distances"]]
    assert MeanPrecision(POINTS)(Known(), (outputs, labels, weights)) == pytest.approx(1)


def test_points_are_those_of_the_images_and_of_outputs_alone_only_if_of_square_ones():
    pytest.importorskip("pycocotools")
    points = Points(16, 64, 3)
    labels, weights = points.labels(BOXES[:1, :1] - [0, 8, 0, 16], CLASSES[:1, :1])
    known = Known()
    outputs = [20 * labels["classes"] - 10, labels["distances"]]
    assert len(points.places) == len(Points(32, 32, 3).places) == 84
    wide = known.predict
    known.predict = lambda x, **given: outputs
    assert mean_precision(known, (np.zeros((1, 16, 64, 3)), labels, weights)) == pytest.approx(1)
    known.predict = wide
    labels, weights = POINTS.labels(BOXES, CLASSES)
    outputs = [20 * labels["classes"] - 10, labels["distances"]]
    with pytest.raises(PruneError, match="square images. Received: 504 points"):
        mean_precision(known, (outputs, labels, weights))
    assert MeanPrecision(POINTS)(known, (outputs, labels, weights)) == pytest.approx(1)
    with pytest.raises(PruneError, match="Expected batches of scenes. Received: none"):
        mean_precision(known, [])


def test_a_sample_of_scenes_has_the_precision_of_these_scenes_one_by_one():
    pytest.importorskip("pycocotools")
    random, number = np.random.default_rng(0), 12
    boxes = np.concatenate([random.uniform(0, 16, (number, 3, 2)), random.uniform(18, 32, (number, 3, 2))], -1)
    classes = random.integers(-1, 3, (number, 3))
    labels, _ = POINTS.labels(boxes, classes)
    noise = random.normal(0, 6, labels["classes"].shape), random.uniform(0.6, 1.4, labels["distances"].shape)
    outputs = [20 * labels["classes"] - 10 + noise[0], labels["distances"] * noise[1]]
    wanted, precision = {"boxes": boxes, "classes": classes}, MeanPrecision(POINTS)
    tally = precision.tally(Known(), (outputs, wanted))
    found = {tally.value}
    assert tally.value == precision(Known(), (outputs, wanted))
    for counts in random.multinomial(number, np.full(number, 1 / number), size=4):
        rows = np.repeat(np.arange(number), counts)
        drawn = [each[rows] for each in outputs], {name: each[rows] for name, each in wanted.items()}
        assert tally.of(counts) == pytest.approx(precision(Known(), drawn), abs=1e-12)
        found.add(tally.of(counts))
    assert len(found) == 5 and max(found) < 1


@pytest.mark.slow
def test_it_decides_what_smallest_may_lose():
    pytest.importorskip("pycocotools")
    data = point_scenes(side=32, number=24, batch=8)
    model = kp.models.fcos(10, (32, 32, 3), width=8, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few scenes tell nothing
        found = kp.smallest(
            model, data, max_drop=0.5, metric=mean_precision, drop_type="absolute", validation=data, trials=1, epochs=1
        )
    assert kp.cost(found.slim).macs < kp.cost(model).macs and "MeanPrecision" in str(found.report)


def test_images_without_boxes_have_labels_of_none():
    labels, weights = POINTS.labels(np.zeros((2, 0, 4)), np.zeros((2, 0)))
    assert not labels["classes"].any() and not weights["distances"].any() and weights["classes"].shape == (2, 504)


def test_losses_are_those_of_their_formulas():
    random = np.random.default_rng(0)
    hot = (random.random((2, 5, 3)) < 0.3).astype("float32")
    logits = random.normal(size=(2, 5, 3)).astype("float32")
    losses = detection_losses()
    p = 1 / (1 + np.exp(-logits))
    right, alpha = np.where(hot, p, 1 - p), np.where(hot, 0.25, 0.75)
    wanted = (-alpha * (1 - right) ** 2 * np.log(right)).mean(axis=-1)
    np.testing.assert_allclose(losses["classes"](hot, logits), wanted.mean(), rtol=1e-4)
    one, other = (random.uniform(1, 9, (2, 5, 4)).astype("float32") for _ in range(2))
    np.testing.assert_allclose(losses["distances"](one, other), 1 - ciou(one, other), atol=1e-4)
    np.testing.assert_allclose(losses["distances"](one, one), 0, atol=1e-4)


def ciou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the overlap less the distance of the middles and the difference of the shapes, equations 7 to 11."""
    both = np.minimum(one, other)
    across = np.maximum(one, other)
    areas = [(each[..., 0] + each[..., 2]) * (each[..., 1] + each[..., 3]) for each in (one, other, both)]
    overlap = areas[2] / (areas[0] + areas[1] - areas[2])
    middles = [(each[..., 2:] - each[..., :2]) / 2 for each in (one, other)]
    diagonal = (across[..., 0] + across[..., 2]) ** 2 + (across[..., 1] + across[..., 3]) ** 2
    apart = ((middles[0] - middles[1]) ** 2).sum(axis=-1) / diagonal
    shapes = [np.arctan((each[..., 0] + each[..., 2]) / (each[..., 1] + each[..., 3])) for each in (one, other)]
    v = 4 / np.pi**2 * (shapes[0] - shapes[1]) ** 2
    return overlap - apart - v * v / (1 - overlap + v)


def test_scenes_come_with_labels_of_all_points():
    data = point_scenes(split="validation", side=64, number=3, batch=2, seed=1)
    assert [dict(each) for each in data.element_spec[1:]] and data.element_spec[1]["classes"].shape == (None, 336, 10)
    scenes = kp.data.scenes(split="validation", side=64, labels="boxes", number=3, batch=2, seed=1)
    for (x, labels, weights), (images, wanted) in zip(data, scenes, strict=True):
        np.testing.assert_array_equal(x, images)
        expected = Points(64, 64).labels(wanted["boxes"].numpy(), wanted["classes"].numpy())
        for found, one in zip((labels, weights), expected, strict=True):
            for name in ("classes", "distances"):
                np.testing.assert_array_equal(found[name], one[name])


def test_other_sides_are_refused():
    with pytest.raises(PruneError, match="height=40"):
        Points(40, 32)
    with pytest.raises(PruneError, match="(?s)Received: width='a'.*Received: classes=0"):
        Points(32, "a", 0)
    with pytest.raises(PruneError, match="multiple of 16"):
        point_scenes(side=40)
