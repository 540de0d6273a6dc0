"""Transformers, shuffles, pyramids and shared towers prune exactly, heads included."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support import architectures
from support.architectures import ARCHITECTURES

import kerasprune as kp
from kerasprune.testing import random_plan, randomise


def outputs(model: keras.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Returns all outputs of a model as arrays."""
    return [np.asarray(y) for y in keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0]))]


def difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Returns the largest difference relative to the largest output."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(first, second, strict=True))


@pytest.fixture(params=ARCHITECTURES)
def model(request) -> keras.Model:
    keras.utils.set_random_seed(0)
    built = ARCHITECTURES[request.param]()
    randomise(built, 0)
    return built


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(3))
def test_rebuild_equals_mask(model, seed):
    inputs = [np.random.default_rng(seed).normal(size=(2, *x.shape[1:])).astype("float32") for x in model.inputs]
    graph = kp.trace(model)
    plan = random_plan(graph, seed, 0.3, 0.7)
    slim = kp.rebuild(model, plan, absorb=False)
    expected = outputs(kp.mask(model, plan), inputs)
    assert difference(outputs(slim, inputs), expected) <= 1e-5
    assert difference(outputs(model, inputs), expected) > 1e-3  # the plan does something
    dense, counted = kp.cost(model, plan), kp.cost(slim)
    assert (dense.params, dense.macs, dense.activations) == (counted.params, counted.macs, counted.activations)


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_transformers_reach_half_of_the_macs(name):
    graph = kp.trace(ARCHITECTURES[name]())
    plan = kp.plan(graph, "l1", "global", macs=0.5, min_keep=0.1)
    assert kp.cost(graph, plan).macs / kp.cost(graph).macs == pytest.approx(0.5, abs=0.02)


def test_attention_loses_heads_and_sizes():
    model = architectures.vit()
    plan = kp.Plan({"attention0/heads": [0, 3], "attention0/key_dim": [1, 2, 4], "attention1/value_dim": [5]})
    slim = kp.rebuild(model, plan)
    config = slim.get_layer("attention0").get_config()
    assert (config["num_heads"], config["key_dim"]) == (2, 3)
    assert slim.get_layer("attention1").get_config()["value_dim"] == 1


def test_hand_written_heads_are_dropped_whole():
    model = architectures.swin()
    graph = kp.trace(model)
    assert graph.groups["block0_qkv"].size == 3  # heads; a head is query, key and value together
    slim = kp.rebuild(model, kp.Plan({"block0_qkv": [0, 2]}))
    assert slim.get_layer("block0_qkv").units == 3 * 2 * 8
    assert slim.get_layer("block0_projection").kernel.shape[0] == 2 * 8


def test_every_architecture_is_mostly_prunable(model):
    graph = kp.trace(model)
    sizes = {id(k.variable): int(np.prod(k.variable.shape)) for k in graph.kernels}
    inside = {id(k.variable) for name in graph.prunable for k, _, _ in graph.made_by(name) + graph.read_by(name)}
    assert sum(size for key, size in sizes.items() if key in inside) >= 0.9 * sum(sizes.values())
