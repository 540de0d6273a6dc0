"""Vectorised costs are those of plans, and of models that were built."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import kept_number
from kerasprune.recipes.search.allocations import channels_kept


def drawn(graph: ChannelGraph, number: int, seed: int = 0) -> kp.papers.spaces.Allocations:
    keep = 1 - np.random.default_rng(seed).random((number, len(graph.prunable)))
    return kp.papers.spaces.Allocations(graph, keep)


def concatenated() -> keras.Model:
    """Two branches joined, one of them twice, a depthwise and a grouped convolution, attention, a shared layer."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", name="one")(inputs)
    y = layers.Conv2D(10, 1, name="two")(inputs)
    x = layers.Concatenate()([x, y, x])
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    x = layers.Conv2D(16, 1, name="grouped_input")(x)
    x = layers.Conv2D(24, 3, groups=4, name="grouped")(x)
    shared = layers.Conv2D(24, 1, name="shared")
    x = shared(shared(x))
    x = layers.Reshape((36, 24))(x)
    x = layers.MultiHeadAttention(4, 6)(x, x)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(x)))


def sliced() -> keras.Model:
    """Halves of one group go different ways: which channels stay matters, not only how many."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, name="one")(inputs)
    y = layers.Conv2D(10, 1, name="two")(x[..., :5])
    z = layers.Conv2D(9, 1, name="three")(x[..., 3:])
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([y, z]))
    return keras.Model(inputs, layers.Dense(5)(x))


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("make", "coupling", "number"),
    [
        (lambda: kp.models.resnet_cifar(20, input_shape=(32, 32, 3)), "tied", 200),
        (lambda: kp.models.resnet_cifar(20, input_shape=(32, 32, 3)), "padded", 20),
        (concatenated, "tied", 200),
        (sliced, "tied", 60),
    ],
    ids=["resnet", "padded", "concatenated", "sliced"],
)
def test_costs_are_those_of_plans_and_of_built_models(make, coupling, number):
    graph = kp.trace(make(), coupling=coupling)
    allocations = drawn(graph, number)
    macs, params = kp.papers.spaces.costs(graph, allocations)
    for index in range(number):
        expected = kp.cost(graph, allocations.plan(index))
        assert (macs[index], params[index]) == (expected.macs, expected.params)
    for index in range(3):
        built = kp.cost(kp.rebuild(graph, allocations.plan(index), absorb=False))
        assert (macs[index], params[index]) == (built.macs, built.params)


def test_fractions_keep_as_many_channels_as_kept_number_says():
    keep = 1 - np.random.default_rng(0).random((50, 40))
    sizes = np.arange(1, 41)
    expected = [[kept_number(size, fraction) for size, fraction in zip(sizes, row, strict=True)] for row in keep]
    assert channels_kept(sizes, keep).tolist() == expected
    exact = np.arange(1, 11) / 10
    assert channels_kept(np.full(10, 10), exact).tolist() == list(range(1, 11))


def test_a_free_input_side_is_counted_at_the_resolution_given():
    model = kp.models.resnet_cifar(8, input_shape=(None, None, 3))
    keep = np.full((1, len(kp.trace(model).prunable)), 0.5)
    with pytest.raises(kp.PruneError, match="Expected a size"):
        kp.papers.spaces.costs(model, keep)
    plan = kp.papers.spaces.Allocations(kp.trace(model), keep).plan(0)
    assert kp.papers.spaces.costs(model, keep, size=24)[0][0] == kp.cost(model, plan, size=24).macs


def test_what_is_no_recipe_of_the_model_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dense(6), layers.Dense(2)])
    other = keras.Sequential([keras.Input((4,)), layers.Dense(8, name="other"), layers.Dense(2)])
    for keep, words in [([0.5, 0.5], "shape="), ([[0.5]], "2 groups"), ([[0.5, 0]], "0.0"), ([["a", 1]], "array of")]:
        with pytest.raises(kp.PruneError, match=words):
            kp.papers.spaces.costs(model, keep)
    with pytest.raises(kp.PruneError, match="other groups"):
        kp.papers.spaces.costs(model, kp.papers.spaces.Allocations(kp.trace(other), [[0.5]]))
    with pytest.raises(kp.PruneError, match="one of 1 allocations"):
        kp.papers.spaces.Allocations(kp.trace(other), [[0.5]]).plan(1)


def test_allocations_of_fewer_groups_of_the_same_model_are_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, name="one"), layers.Dense(6), layers.Dense(2)])
    graph, frozen = kp.trace(model), kp.trace(model, freeze=("one",))
    assert graph.fingerprint == frozen.fingerprint
    with pytest.raises(kp.PruneError, match="other groups"):
        kp.papers.spaces.costs(graph, kp.papers.spaces.Allocations(frozen, [[0.5]]))
