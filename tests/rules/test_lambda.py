"""Functions in a Lambda: followed where trying shows that they act on every channel by itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.testing import compare, random_inputs, random_plan


def model(function, **more):
    inputs = keras.Input((5, 6, 3))
    x = layers.Lambda(function, name="own", **more)(layers.Conv2D(8, 3, name="first")(inputs))
    whole = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    for weight in whole.weights:  # `randomise` makes the model anew, which Keras does not do with a Lambda
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    return whole


@pytest.mark.parametrize(
    ("function", "more"),
    [(lambda x: ops.relu(x) * 0.5, {}), (lambda x, factor: x * factor, {"arguments": {"factor": 0.3}})],
)
@pytest.mark.parametrize("absorb", [True, False])
def test_a_function_of_single_channels_is_followed(function, more, absorb):
    whole = model(function, **more)
    plan = random_plan(kp.trace(whole))
    assert len(plan.keep["first"]) < 8
    oracle = kp.mask(whole, plan, silence="weights" if absorb else "output")
    assert compare(oracle, kp.rebuild(whole, plan, absorb=absorb), random_inputs(whole)).error < 1e-5


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x - ops.mean(x, axis=-1, keepdims=True), "mixes channels"),
        (lambda x: ops.flip(x, axis=-1), "mixes channels"),
        (lambda x: ops.cumsum(x, axis=1), "mixes positions"),
        (lambda x: x[:, ::2], "changes the shape"),
        (lambda x: x * keras.random.uniform(ops.shape(x)), "is random"),
    ],
)
def test_any_other_function_is_refused_or_its_channels_stay(function, why):
    if keras.backend.backend() == "jax" and why in ("changes the shape", "is random"):
        pytest.skip("Keras does not infer the shape of a Lambda on JAX")
    whole = model(function)
    with pytest.raises(kp.PruneError, match=f"'own' of class Lambda, which {why}"):
        kp.trace(whole)
    graph = kp.trace(whole, unknown="freeze")
    assert not graph.groups["first"].prunable and [each.name for each in graph.unknown] == ["own"]


def test_a_function_of_several_tensors_is_refused_or_their_channels_stay():
    """As in siamese networks, whose distance is a Lambda of two embeddings."""
    inputs = keras.Input((5,), name="x")
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    pair = [layers.Dense(6, name=name)(x) for name in ("left", "right")]
    distance = layers.Lambda(lambda t: ops.abs(t[0] - t[1]), output_shape=(6,), name="distance")(pair)
    whole = keras.Model(inputs, layers.Dense(1)(distance))
    with pytest.raises(kp.PruneError, match=r"'distance' of class Lambda, which takes several tensors.*unknown"):
        kp.trace(whole)
    graph = kp.trace(whole, unknown="freeze")
    assert list(graph.prunable) == ["first"] and [each.name for each in graph.unknown] == ["distance"]
    slim, plan, _ = kp.prune(whole, macs=0.6, plan={"unknown": "freeze"})
    assert set(plan.keep) == {"first"} and slim.get_layer("right").units == 6
    assert compare(kp.mask(whole, plan, silence="weights"), slim, random_inputs(whole)).error < 1e-5
