"""Augmentations against brute force: every result is one of the images that the definition allows."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kerasprune.models.sets.augmentation import resize, resize_and_crop
from kerasprune.models.sets.registry import augmentations

SEEDS = [tf.constant([7, number], tf.int64) for number in range(40)]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)


def windows(image: np.ndarray, rim: int) -> dict[tuple[int, int], np.ndarray]:
    size = len(image)
    padded = np.pad(image, ((rim, rim), (rim, rim), (0, 0)))
    places = range(2 * rim + 1)
    return {(row, column): padded[row : row + size, column : column + size] for row in places for column in places}


def place(result: np.ndarray, allowed: dict[tuple[int, int], np.ndarray]) -> tuple[int, int]:
    found = [where for where, window in allowed.items() if np.allclose(window, result, atol=1e-6)]
    assert len(found) == 1
    return found[0]


def test_crop_is_a_window_of_the_padded_image_and_every_window_occurs(image):
    allowed = windows(image, rim=1)
    places = {place(augmentations.member("crop")(image, 8, seed).numpy(), allowed) for seed in SEEDS}
    assert places == set(allowed)


def test_crop_flip_mirrors_about_half_of_the_windows(image):
    allowed = windows(image, rim=1)
    mirrored = {(row, column, "mirrored"): window[:, ::-1] for (row, column), window in allowed.items()}
    places = [place(augmentations.member("crop_flip")(image, 8, seed).numpy(), allowed | mirrored) for seed in SEEDS]
    assert 10 <= sum(len(where) == 3 for where in places) <= 30
    assert len({where[:2] for where in places}) == 9


@pytest.mark.parametrize("name", ["crop", "crop_flip", "inception"])
def test_an_augmentation_is_a_function_of_its_seed(image, name):
    augment = augmentations.member(name)
    first = augment(image, 8, SEEDS[0]).numpy()
    tf.random.set_seed(5)
    np.testing.assert_array_equal(augment(image, 8, SEEDS[0]).numpy(), first)
    assert any(not np.array_equal(augment(image, 8, seed).numpy(), first) for seed in SEEDS[1:])


def test_inception_shows_a_box_of_the_allowed_area_and_shape():
    # Red holds the row and green the column, so the range of values tells the box.
    side = 120
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    image = np.stack([rows, columns, 0 * rows], axis=-1)
    areas, directions = [], []
    for seed in SEEDS:
        result = augmentations.member("inception")(image, 60, seed).numpy()
        assert result.shape == (60, 60, 3)
        # The first and last of 60 samples lie half a sixtieth within the box.
        height, width = (np.ptp(result[..., axis]) * 60 / 59 for axis in (0, 1))
        assert 0.7 <= width / height <= 1.43
        areas.append(height * width / side**2)
        directions.append(result[0, 0, 1] < result[0, -1, 1])
    assert 0.06 <= min(areas) < 0.3 and 0.7 < max(areas) <= 1.05
    assert 10 <= sum(directions) <= 30


def test_resize_takes_the_middle_square():
    wide = np.zeros((10, 16, 3), np.float32)
    wide[:, 3:13] = 1
    np.testing.assert_allclose(resize(wide, 10), np.ones((10, 10, 3)))
    np.testing.assert_allclose(resize(wide.transpose(1, 0, 2), 10), np.ones((10, 10, 3)))


@pytest.mark.parametrize("height, width", [(320, 480), (400, 300)])
def test_evaluation_resizes_the_shorter_side_to_256_and_takes_224(height, width):
    image = np.random.default_rng(1).normal(size=(height, width, 3)).astype(np.float32)
    whole = tf.image.resize(image, (256, 384) if width > height else (341, 256), antialias=True).numpy()
    top, left = (whole.shape[0] - 224) // 2, (whole.shape[1] - 224) // 2
    expected = whole[top : top + 224, left : left + 224]
    np.testing.assert_allclose(resize_and_crop(image, 224, 0.875), expected, atol=1e-5)
    np.testing.assert_allclose(resize_and_crop(image, tf.constant(224), 0.875), expected, atol=1e-5)
    np.testing.assert_array_equal(resize_and_crop(image, 224), resize(image, 224))


@pytest.mark.parametrize("name", ["crop", "crop_flip", "inception"])
def test_without_antialiasing_a_new_pixel_is_a_mean_of_the_four_nearest(name):
    stripes = np.repeat((np.indices((64, 64)).sum(0) % 4 // 2)[..., None], 3, -1).astype(np.float32)  # two pixels wide
    rough, smooth = (resize(stripes, 8, antialias=each).numpy() for each in (False, True))
    np.testing.assert_allclose(rough[2, 3], stripes[19:21, 27:29].mean((0, 1)))  # it covers 16 to 24 and 24 to 32
    assert not np.allclose(rough, smooth, atol=0.05)
    augment = augmentations.member(name)
    assert not np.allclose(augment(stripes, 8, SEEDS[0], antialias=False), augment(stripes, 8, SEEDS[0]), atol=0.05)


def test_resize_by_an_integer_factor_is_the_triangle_filter(image):
    # Halving with antialiasing weighs four neighbours 1 : 3 : 3 : 1 in each direction, away from the border.
    weights = np.array([1, 3, 3, 1]) / 8
    expected = np.einsum("i,j,ijc->c", weights, weights, image[1:5, 3:7])
    np.testing.assert_allclose(resize(image, 4)[1, 2], expected, atol=1e-5)


def test_resize_works_at_every_size_between_13_and_64(image):
    for size in (13, 27, 64):
        assert resize(np.ones((64, 64, 3), np.float32), size).shape == (size, size, 3)
        np.testing.assert_allclose(resize(np.ones((64, 64, 3), np.float32), size), 1, atol=1e-5)
