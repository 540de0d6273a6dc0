"""Cosine distance of blocks, against the formula by hand and blocks of which the answer is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.papers.three_dimensional import CosineDistance, score_blocks

IMAGES = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")


def turned(size: float) -> keras.Model:
    """A trunk and two residual blocks: one adds a multiple of what goes in, the other something of this size."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    same = layers.Conv2D(6, 1, use_bias=False, name="same")
    x = layers.Add(name="longer")([x, same(x)])
    other = layers.Conv2D(6, 3, padding="same", name="other")
    x = layers.Add(name="turned")([x, other(x)])
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    same.kernel.assign(0.5 * np.eye(6)[None, None])
    other.kernel.assign(size * np.random.default_rng(1).normal(size=other.kernel.shape))
    return model


def test_the_distance_is_that_of_the_formula():
    model = turned(0.3)
    found = score_blocks("cosine_distance", kp.trace(model), IMAGES)
    ends = keras.Model(model.inputs, [model.get_layer(name).output for name in ("stem", "longer", "turned")])
    stem, longer, last = map(ops.convert_to_numpy, ends(ops.convert_to_tensor(IMAGES)))
    cosines = (longer * last).sum(-1) / np.linalg.norm(longer, axis=-1) / np.linalg.norm(last, axis=-1)
    assert found["turned"] == pytest.approx(1 - cosines.mean(), rel=1e-5)
    assert found["longer"] == pytest.approx(0, abs=1e-6)  # only its length changes
    assert np.allclose(longer, 1.5 * stem, atol=1e-5)


def test_a_block_that_turns_more_is_worth_more_and_labels_do_not_count():
    little, much = (
        score_blocks(CosineDistance(samples=10), kp.trace(turned(size)), [(IMAGES, np.zeros(20))])["turned"]
        for size in (0.05, 1.0)
    )
    assert 0 < little < much


@pytest.mark.parametrize("make", [kp.models.resnet_cifar, kp.models.densenet_cifar])
def test_blocks_that_change_shape_have_a_distance(make):
    model = make(8, input_shape=(16, 16, 3)) if make is kp.models.resnet_cifar else make(10, 4, input_shape=(16, 16, 3))
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
    scores = score_blocks("cosine_distance", kp.trace(model, unknown="freeze"), images)
    assert scores and all(0 <= score <= 2 for score in scores.values())


def test_examples_are_asked_for():
    with pytest.raises(kp.PruneError, match="Pass data="):
        score_blocks("cosine_distance", kp.trace(turned(1.0)))
