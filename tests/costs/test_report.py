"""What the report of a plan costs, in calls of Python's functions: a clock would measure the machine."""

from __future__ import annotations

import cProfile
import pstats

import keras
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


def test_a_report_of_dense_concatenation_costs_little_more_than_its_layers():
    """Four times the layers are sixteen times the tensors that are concatenated."""
    profiled(2)  # what is imported and looked up once
    few, many = profiled(15), profiled(60)
    assert many.total_calls < 5.4 * few.total_calls
    times = {name: calls for (_, _, name), (calls, *_) in few.stats.items()}
    assert times["trace"] == times["fold"] == 1
