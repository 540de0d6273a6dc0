"""Scenes of digits: boxes, classes and masks say the same, and the builder stores what is drawn."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.models.sets.glyph_scenes import draw_scene

SCENES = [draw_scene(0, "train", index, side) for side in (64, 128) for index in range(12)]


def test_boxes_hold_the_pixels_of_their_class_and_touch_them():
    for scene in SCENES:
        side = len(scene.mask)
        assert scene.image.shape == (side, side, 3) and 1 <= len(scene.boxes) == len(scene.classes) <= 8
        seen = np.zeros_like(scene.mask)
        for (left, top, right, bottom), label in zip(scene.boxes.astype(int), scene.classes, strict=True):
            assert 0 < left < right < side and 0 < top < bottom < side
            inside = scene.mask[top:bottom, left:right] == label + 1
            assert inside.sum() > 0.1 * inside.size * min(1, side / 64)
            seen[top:bottom, left:right] |= inside
        assert (seen.astype(bool) == (scene.mask > 0)).all()
    assert {len(scene.boxes) for scene in SCENES} >= {1, 3, 5}


def test_a_scene_depends_on_its_numbers_alone():
    again = draw_scene(0, "train", 3)
    assert all(map(np.array_equal, again, SCENES[3]))
    others = [draw_scene(*numbers) for numbers in ((1, "train", 3), (0, "test", 3), (0, "train", 4))]
    assert not any(np.array_equal(each.image, again.image) for each in others)


def test_batches_for_a_segmenter_and_a_detector():
    images, masks = next(iter(kp.data.scenes(split="validation", number=5, batch=4)))
    found = [draw_scene(0, "validation", index) for index in range(4)]
    np.testing.assert_allclose(images, np.stack([each.image for each in found]) / 255, atol=1e-6)
    np.testing.assert_array_equal(masks, np.stack([each.mask for each in found]))
    _, labels = next(iter(kp.data.scenes(split="validation", number=5, batch=4, labels="boxes")))
    for scene, boxes, classes in zip(found, labels["boxes"], labels["classes"], strict=True):
        count = len(scene.boxes)
        np.testing.assert_array_equal(boxes, np.pad(scene.boxes, ((0, 16 - count), (0, 0)), constant_values=-1))
        np.testing.assert_array_equal(classes, np.pad(scene.classes, (0, 16 - count), constant_values=-1))
    train = kp.data.scenes(number=40, batch=40)
    one, other = (next(iter(train))[1].numpy() for _ in range(2))
    assert not np.array_equal(one, other)  # another order
    with pytest.raises(PruneError, match="labels='polygons'"):
        kp.data.scenes(labels="polygons")


@pytest.mark.thorough
def test_the_builder_stores_what_is_drawn(tmp_path):
    builder = tfds.builder("glyph_scenes/tiny", data_dir=str(tmp_path))
    builder.download_and_prepare()
    for index, row in enumerate(tfds.as_numpy(builder.as_dataset(split="test"))):
        scene = draw_scene(0, "test", index)
        np.testing.assert_array_equal(row["image"], scene.image)
        np.testing.assert_array_equal(row["mask"][..., 0], scene.mask)
        np.testing.assert_array_equal(row["objects"]["label"], scene.classes)
        np.testing.assert_allclose(64 * row["objects"]["bbox"], scene.boxes[:, [1, 0, 3, 2]], atol=1e-4)


@pytest.mark.thorough
def test_several_processes_draw_the_same():
    one, two = (next(iter(kp.data.scenes(split="test", number=6, batch=6, workers=number))) for number in (1, 2))
    np.testing.assert_array_equal(one[0], two[0])


def test_a_unet_keeps_its_skips_together_and_is_pruned_exactly():
    model = kp.models.unet(3, (16, 16, 3), width=0.5, seed=0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.random.default_rng(0).uniform(0.5, 1.5, layer.gamma.shape))
    plan = kp.plan(model, keep=0.5)
    slim = kp.rebuild(model, plan)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    made, wanted = (np.asarray(each(x)) for each in (slim, kp.mask(model, plan)))
    assert made.shape == (2, 16, 16, 3)
    inner = slice(4, 12)
    np.testing.assert_allclose(made[:, inner, inner], wanted[:, inner, inner], atol=1e-4)
