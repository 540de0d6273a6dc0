"""Clusters of weights: the least sum of squares by brute force, and a sum that never grows."""

from __future__ import annotations

from itertools import combinations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.export.codec.entries import dtype_of
from kerasprune.export.codec.sharing import bits_of, is_shared, lloyd


def scatter(weights, centroids):
    return (np.abs(weights[:, None] - centroids).min(1) ** 2).sum()


def best_of_all(weights, k):
    """Returns the least sum of squares of any division of sorted weights into k parts."""
    weights = np.sort(weights)
    cuts = combinations(range(1, weights.size), k - 1)
    return min(sum(((part - part.mean()) ** 2).sum() for part in np.split(weights, cut)) for cut in cuts)


@pytest.mark.parametrize("seed", range(5))
def test_exact_is_the_best_of_all_divisions(seed):
    weights = np.random.default_rng(seed).standard_normal(12)
    shared = kp.codec.share(weights, 3, start="exact")
    assert np.unique(shared).size == 3
    assert ((weights - shared) ** 2).sum() == pytest.approx(best_of_all(weights, 3), rel=1e-12)


@pytest.mark.parametrize("start", ["linear", "density", "random"])
def test_rounds_end_at_the_means_of_the_nearest(start):
    weights = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    weights[::3] = 0
    shared = kp.codec.share(weights, 16, start=start)
    centroids = np.unique(shared[shared != 0])
    assert 2 < centroids.size <= 16 and np.array_equal(shared == 0, weights == 0)
    for value in centroids:
        assert weights[shared == value].mean(dtype=float) == pytest.approx(value, rel=1e-5, abs=1e-7)
    nearest = centroids[np.abs(weights[weights != 0][:, None] - centroids).argmin(1)]
    assert np.mean(nearest != shared[weights != 0]) < 0.002  # those that lie in the middle
    best = kp.codec.share(weights[:20], 16, start="exact")
    assert ((weights[:20] - best) ** 2).sum() <= (
        (weights[:20] - kp.codec.share(weights[:20], 16, start=start)) ** 2
    ).sum()


def test_a_round_of_brute_force_changes_nothing():
    weights = np.sort(np.random.default_rng(1).standard_normal(500))
    found = lloyd(weights, np.linspace(weights[0], weights[-1], 8))
    label = np.abs(weights[:, None] - found).argmin(1)
    assert np.allclose([weights[label == n].mean() for n in range(found.size)], found)
    assert scatter(weights, found) < scatter(weights, np.linspace(weights[0], weights[-1], 8))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_sharing_again_changes_nothing(dtype):
    values = keras.ops.convert_to_numpy(keras.random.normal((30, 30), seed=1)).astype(dtype_of(dtype))
    shared = kp.codec.share(values, 8)
    assert shared.dtype == values.dtype and np.unique(shared.astype(float)).size <= 8
    assert kp.codec.share(shared, 8).tobytes() == shared.tobytes()


def test_few_values_stay_as_they_are():
    values = np.array([[3, -0.0, 1e-30], [3, 7, 0]], np.float32)
    assert np.array_equal(kp.codec.share(values, 3), values)
    assert not np.signbit(kp.codec.share(values, 3)[0, 1])
    assert not kp.codec.share(np.zeros((3, 4), np.float32), 1).any()
    assert kp.codec.share(np.zeros((0, 4), np.float32), 1).shape == (0, 4)


def test_what_cannot_be_shared_is_refused():
    for values in (np.array([1, np.nan, 2]), np.array([np.inf])):
        with pytest.raises(PruneError, match="finite"):
            kp.codec.share(values, 2)
    with pytest.raises(PruneError, match="2,048 distinct"):
        kp.codec.share(np.arange(1.0, 3000), 2, start="exact")
    with pytest.raises(PruneError, match="codes"):
        kp.codec.share(np.ones(3), 0)
    for values in ([1.0, 2.0], np.arange(5), np.array([1j]), np.array(["a"]), keras.Variable([1.0])):
        with pytest.raises(PruneError, match="NumPy array of floats"):  # means of integers would be cut
            kp.codec.share(values, 2)


def test_keys_of_bits():
    layers = [keras.layers.Conv2D(1, 1, name="first"), keras.layers.DepthwiseConv2D(1, name="a"), keras.layers.Dense(1)]

    def found(bits):
        given = bits_of(layers, bits)
        return [given.get(id(layer)) for layer in layers]

    assert found({"conv": 8, "dense": 5}) == [8, 8, 5] and found(3) == [3, 3, 3] and found({}) == [None] * 3
    assert found({"conv": 8, "f*": 2}) == [2, 8, None] and found({"Conv2D": 4, "a": 1}) == [4, 1, None]
    for wrong in ({"convv": 4}, {"conv": 9}, 0, {"dense": 2.0}, {1: 4}, {keras.layers.Dense: 4}):
        with pytest.raises(PruneError, match="Invalid bits"):
            bits_of(layers, wrong)
    assert is_shared("d/kernel", np.ones((2, 2))) and not is_shared("d/bias", np.ones((2, 2)))
    assert not is_shared("d/kernel", np.ones((2, 2), int))
