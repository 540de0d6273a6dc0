"""Random masks: as many weights, filters or channels as asked for, at places that the seed decides."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

GRANULARITIES = ("weight", "filter", "channel")


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(10, 3, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    return keras.Model(inputs, layers.Dense(6, name="logits")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_whole_units_stay(model, granularity):
    masks = kp.sparsity.random_masks(
        model, {"conv/kernel": 0.5, "depthwise/kernel": 0.3}, granularity=granularity, seed=3
    )
    conv, lanes = masks["conv/kernel"], masks["depthwise/kernel"]
    assert conv.shape == (3, 3, 4, 10) and conv.mean() == 0.5
    if granularity == "filter":
        assert conv.all((0, 1, 2)).sum() == conv.any((0, 1, 2)).sum() == 5
    if granularity == "channel":
        assert conv.all((0, 1, 3)).sum() == conv.any((0, 1, 3)).sum() == 2
    if granularity != "weight":
        assert lanes.all((0, 1, 3)).sum() == lanes.any((0, 1, 3)).sum() == 3
    else:
        assert lanes.sum() == 27 and 1 < conv.all((0, 1, 2)).sum() + conv.any((0, 1, 2)).sum() < 20 + 1
    again = kp.sparsity.random_masks(model, {"conv/kernel": 0.5}, granularity=granularity, seed=3)
    other = kp.sparsity.random_masks(model, {"conv/kernel": 0.5}, granularity=granularity, seed=4)
    assert (again["conv/kernel"] == conv).all() and (other["conv/kernel"] != conv).any()


def test_every_place_is_as_likely(model):
    drawn = [kp.sparsity.random_masks(model, {"logits/kernel": 0.3}, seed=s)["logits/kernel"] for s in range(300)]
    assert np.abs(np.mean(drawn, 0) - 0.3).max() < 4 * np.sqrt(0.3 * 0.7 / 300)
    assert kp.sparsity.random_masks(model, {"logits/kernel": 1e-6})["logits/kernel"].sum() == 1


def test_independent_draws_are_binomial(model):
    """Number of weights kept over seeds: mean p·n and variance p·(1 − p)·n; exact numbers would have variance 0."""
    keep, seeds = 0.3, 400
    drawn = [kp.sparsity.independent_masks(model, keep, seed=seed) for seed in range(seeds)]
    assert set(drawn[0]) == {"conv/kernel", "depthwise/kernel", "logits/kernel"}
    numbers = {path: np.array([mask[path].sum() for mask in drawn]) for path in drawn[0]}
    for path, kept in numbers.items():
        size = drawn[0][path].size
        variance = keep * (1 - keep) * size
        assert abs(kept.mean() - keep * size) < 4 * np.sqrt(variance / seeds), path
        assert abs(kept.var(ddof=1) / variance - 1) < 4 * np.sqrt(2 / seeds), path
    places = np.mean([mask["logits/kernel"] for mask in drawn], 0)
    assert np.abs(places - keep).max() < 4 * np.sqrt(keep * (1 - keep) / seeds)
    together = np.corrcoef(numbers["conv/kernel"], numbers["logits/kernel"])[0, 1]
    assert abs(together) < 4 / np.sqrt(seeds)
    assert {kp.sparsity.random_masks(model, keep, seed=seed)["conv/kernel"].sum() for seed in range(9)} == {108}


def test_independent_draws_of_whole_units(model):
    kept = [
        kp.sparsity.independent_masks(model, {"conv/kernel": 0.5}, granularity="filter", seed=seed)["conv/kernel"]
        for seed in range(20)
    ]
    assert all(np.array_equal(mask.any((0, 1, 2)), mask.all((0, 1, 2))) for mask in kept)
    assert len({int(mask.sum()) for mask in kept}) > 2


def test_one_density_is_of_trained_kernels(model):
    model.get_layer("conv").trainable = False
    try:
        assert set(kp.sparsity.random_masks(model, 0.5)) == {"depthwise/kernel", "logits/kernel"}
    finally:
        model.get_layer("conv").trainable = True
    with pytest.raises(kp.PruneError, match=r"Invalid arguments for independent_masks:(?s:.*)densities=0"):
        kp.sparsity.independent_masks(model, 0)


@pytest.mark.experiments
def test_detached_weights_are_left_out_and_densities_carry_over(model):
    asked = kp.papers.synexp.layer_densities(model, params=0.4)
    masks = kp.sparsity.random_masks(model, asked, granularity="filter")
    left = kp.sparsity.attached(model, masks)
    assert sum(m.sum() for m in left.values()) < sum(m.sum() for m in masks.values())
    found = kp.sparsity.densities_of(masks)
    assert all(abs(found[path] - density) <= 0.05 for path, density in asked.items() if "conv" in path)
    sizes = {kernel.variable.path: kernel.variable.shape for kernel in kp.trace(model).kernels}
    assert sum(asked[p] * np.prod(s) for p, s in sizes.items()) == pytest.approx(
        0.4 * sum(map(np.prod, sizes.values()))
    )


def test_faults_are_gathered(model):
    with pytest.raises(kp.PruneError, match=r"(?s)granularity='row'.*Did you mean 'conv/kernel'.*=1.5"):
        kp.sparsity.random_masks(model, {"conv/kernl": 0.5, "logits/kernel": 1.5}, granularity="row")
