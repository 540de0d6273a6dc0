"""Optimisers in epochs: learning rates against the closed forms."""

from __future__ import annotations

import math
from typing import get_args

import keras
import numpy as np
import pytest

from kerasprune.recipes import learning
from kerasprune.recipes.optimizers import learning_rate, optimizer


def rate(schedule, step):
    return float(schedule(step))


def test_multi_step_changes_with_the_first_step_of_its_epoch():
    spec = learning.MultiStep(name="multi_step", values={0: 1e-2, 60: 1e-3, 90: 1e-4})
    schedule = learning_rate(spec, 120, 195)
    for epoch, expected in ((0, 1e-2), (59, 1e-2), (60, 1e-3), (89, 1e-3), (90, 1e-4), (119, 1e-4)):
        assert rate(schedule, epoch * 195) == pytest.approx(expected)
        assert rate(schedule, epoch * 195 + 194) == pytest.approx(expected)


def test_multi_step_with_one_value_is_constant():
    assert learning_rate(learning.MultiStep(name="multi_step", values={0: 0.1}), 3, 10) == 0.1


def test_one_value_warms_up_linearly_and_stays():
    schedule = learning_rate(learning.MultiStep(name="multi_step", values={0: 0.1}, warmup_epochs=2), 10, 20)
    for step in (0, 10, 40, 200):
        assert rate(schedule, step) == pytest.approx(0.1 * min(step / 40, 1), abs=1e-7)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), "mse")
    assert np.isfinite(model.train_on_batch(np.ones((4, 2)), np.ones((4, 1))))


def test_cosine_is_half_a_cosine_over_all_steps():
    schedule = learning_rate(learning.Cosine(name="cosine", start=0.1, end=0.01), 10, 20)
    for step in (0, 50, 100, 137, 200):
        expected = 0.01 + (0.1 - 0.01) * (1 + math.cos(math.pi * step / 200)) / 2
        assert rate(schedule, step) == pytest.approx(expected, rel=1e-5)


def test_cosine_warms_up_linearly():
    schedule = learning_rate(learning.Cosine(name="cosine", start=0.1, warmup_epochs=2), 10, 20)
    for step in (0, 10, 30, 40):
        assert rate(schedule, step) == pytest.approx(0.1 * step / 40, abs=1e-7)
    assert rate(schedule, 120) == pytest.approx(0.05, rel=1e-5)  # half way from 40 to 200
    assert rate(schedule, 200) == pytest.approx(0, abs=1e-7)


def test_a_line_ends_with_the_last_step():
    schedule = learning_rate(learning.LinearRate(name="linear", start=0.1, end=0.02), 10, 20)
    for step in (0, 50, 137, 200):
        assert rate(schedule, step) == pytest.approx(0.1 - 0.08 * step / 200, rel=1e-5)


def test_a_factor_multiplies_after_each_epoch():
    schedule = learning_rate(learning.Exponential(name="exponential", start=0.1, factor=0.5), 10, 20)
    for step, expected in ((0, 0.1), (19, 0.1), (20, 0.05), (59, 0.025), (60, 0.0125)):
        assert rate(schedule, step) == pytest.approx(expected, rel=1e-5)


def test_a_factor_multiplies_after_every_so_many_epochs_and_a_warm_up_multiplies_it():
    spec = {"start": 0.048, "factor": 0.97, "every": 2.4, "warmup_epochs": 3}
    schedule = learning_rate(learning.Exponential(name="exponential", **spec), 300, 10)
    for step in (0, 7, 24, 29, 30, 47, 48, 2999):
        assert rate(schedule, step) == pytest.approx(min(step / 30, 1) * 0.048 * 0.97 ** (step // 24), rel=1e-4)


def test_rmsprop_is_that_of_tensorflow():
    """`v ← 0.9 v + 0.1 g²`, `m ← μ m + η g / √(v + ε)`, `w ← w − m`: ε below the root, η within the momentum."""
    made = optimizer(learning.RmsProp(name="rmsprop", learning_rate=0.048, momentum=0.9, epsilon=1e-3), 1, 1)
    assert type(made) is keras.optimizers.RMSprop
    weight, mean, moved = keras.Variable(np.array([1.0, -2.0], "float32")), np.zeros(2), np.zeros(2)
    expected = np.array([1.0, -2.0])
    for gradient in np.random.default_rng(0).normal(size=(5, 2)):
        made.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [weight])
        mean = 0.9 * mean + 0.1 * gradient**2
        moved = 0.9 * moved + 0.048 * gradient / np.sqrt(mean + 1e-3)
        expected = expected - moved
    np.testing.assert_allclose(np.asarray(weight), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (learning.Sgd(name="sgd", learning_rate=0.1, momentum=0.8, nesterov=True), keras.optimizers.SGD),
        (learning.Adam(name="adam", learning_rate=0.1), keras.optimizers.Adam),
        (learning.AdamW(name="adamw", learning_rate=0.1, weight_decay=0.02), keras.optimizers.AdamW),
    ],
)
def test_optimizer_is_that_of_keras_with_the_arguments_given(spec, kind):
    made = optimizer(spec, 1, 1)
    assert type(made) is kind
    assert float(np.asarray(made.learning_rate)) == pytest.approx(0.1)
    if isinstance(spec, learning.Sgd):
        assert (made.momentum, made.nesterov) == (0.8, True)
    if isinstance(spec, learning.AdamW):
        assert made.weight_decay == 0.02
    else:
        assert not made.weight_decay


@pytest.mark.parametrize("name", get_args(learning.Other.model_fields["name"].annotation))
def test_others_are_those_of_keras_with_a_rate_or_a_schedule(name):
    made = optimizer(learning.Other(name=name, learning_rate=0.1), 1, 1)
    assert type(made).__name__.lower() == name and made.__module__.startswith("keras.")
    assert float(np.asarray(made.learning_rate)) == pytest.approx(0.1)
    cosine = learning.Cosine(name="cosine", start=0.1)
    assert float(np.asarray(optimizer(learning.Other(name=name, learning_rate=cosine), 2, 5).learning_rate)) > 0
