"""The figures of a report, and what it costs in calls of Python's functions: a clock would measure the machine."""

from __future__ import annotations

import copy
import cProfile
import json
import pickle
import pstats

import keras
import pytest
from keras import layers

import kerasprune as kp


def concatenating(number: int) -> keras.Model:
    """Returns a model whose every convolution reads all before it, as those of DenseNet do."""
    inputs = keras.Input((4, 4, 3))
    made = [layers.Conv2D(4, 1)(inputs), layers.Conv2D(4, 1)(inputs)]
    for _ in range(number):
        made.append(layers.Conv2D(4, 1, activation="relu")(layers.Concatenate()(made)))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Concatenate()(made))))


def profiled(number: int) -> pstats.Stats:
    model = concatenating(number)
    plan = kp.plan(model, keep=0.5)
    with cProfile.Profile() as profile:
        kp.report(model, plan)
    return pstats.Stats(profile)


@pytest.mark.thorough
def test_a_report_of_dense_concatenation_costs_little_more_than_its_layers():
    """Four times the layers are sixteen times the tensors that are concatenated."""
    profiled(2)  # what is imported and looked up once
    few, many = profiled(15), profiled(60)
    assert many.total_calls < 5.4 * few.total_calls
    times = {name: calls for (_, _, name), (calls, *_) in few.stats.items()}
    assert times["trace"] == times["fold"] == 1


def test_the_figures_of_a_report_are_those_of_the_models():
    model = concatenating(3)
    plan = kp.plan(model, keep=0.5)
    found, slim = kp.report(model, plan), kp.rebuild(model, plan)
    assert isinstance(found, str) and "conv2d" in found
    assert found.params == pytest.approx(slim.count_params() / model.count_params())
    assert found.macs == pytest.approx(kp.cost(slim).macs / kp.cost(model).macs)
    groups = kp.trace(model).groups
    assert found.groups == {name: (one.size, len(plan.keep.get(name, range(one.size)))) for name, one in groups.items()}
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["costs"]["params"] == {
        "before": model.count_params(),
        "after": slim.count_params(),
        "kept": found.params,
    }
    assert plain["groups"] == {name: {"channels": size, "kept": kept} for name, (size, kept) in found.groups.items()}
    for other in (copy.copy(found), pickle.loads(pickle.dumps(found))):
        assert other == found and other.to_dict() == found.to_dict()
