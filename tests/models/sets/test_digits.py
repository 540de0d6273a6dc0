"""Digits: scikit-learn's images, each in one split, classes in equal proportions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from kerasprune.models.sets.digits import digits


def whole(split: str) -> tuple[np.ndarray, np.ndarray]:
    drawn = digits().images(split)
    images, labels = zip(*(drawn.decode(tf.constant(number, tf.int64)) for number in range(drawn.count)), strict=True)
    return np.stack(images), np.array(labels)


@pytest.mark.whole
def test_the_splits_share_out_the_images_of_scikit_learn():
    facts = digits().info
    assert dict(facts.examples) == {"train": 1197, "validation": 300, "test": 300}
    found = Counter()
    for split, count in facts.examples.items():
        images, labels = whole(split)
        assert images.shape == (count, 8, 8, 3) and images.dtype == np.uint8
        np.testing.assert_array_equal(images, images[..., :1].repeat(3, axis=-1))
        found.update(
            zip((np.round(image[..., 0] / 255 * 16).astype(int).tobytes() for image in images), labels, strict=True)
        )
    bunch = load_digits()
    assert found == Counter(zip((image.astype(int).tobytes() for image in bunch.images), bunch.target, strict=True))


@pytest.mark.whole
def test_every_split_has_every_class_in_the_proportion_of_the_whole():
    share = np.bincount(load_digits().target) / 1797
    for split, count in digits().info.examples.items():
        np.testing.assert_allclose(np.bincount(whole(split)[1]), share * count, atol=1)


def test_the_constants_standardise():
    facts = digits().info
    images = load_digits().images / 16
    np.testing.assert_allclose(facts.mean, images.mean(), atol=1e-3)
    np.testing.assert_allclose(facts.std, images.std(), atol=1e-3)
