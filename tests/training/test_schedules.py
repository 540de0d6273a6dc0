"""Schedules against their closed forms, inside and outside of a compiled function."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude
from kerasprune.training.mask_updates import updates
from kerasprune.training.schedules import (
    ConstantSparsity,
    Moment,
    PolynomialDecay,
    constant,
    cubic,
    linear,
    steps,
)


def _at(schedule, times):
    return np.array([float(schedule(t)) for t in times])


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("500it", Moment(0, 500)),
        ("10ep", Moment(10, 0)),
        ("2ep50it", Moment(2, 50)),
        ("0it", Moment()),
        (0, Moment()),
        (7, Moment(0, 7)),
        (Moment(1, 2), Moment(1, 2)),
    ],
)
def test_points_are_read(text, point):
    assert Moment.read(text) == point
    assert Moment.read(str(point)) == point


@pytest.mark.parametrize("text", ["", "500", "it", "ep", "-5it", "5it2ep", "5 ep", "1.5ep", -1, 1.5, True, None])
def test_other_points_are_refused(text):
    with pytest.raises(kp.PruneError, match="point in training"):
        Moment.read(text)


def test_points_count_epochs_in_steps():
    assert Moment.read("2ep50it").steps(100) == 250


@pytest.mark.parametrize("keep", [0.1, 0.5, 1.0])
def test_cubic_is_zhu_and_gupta(keep):
    """Their Eq. 1 in sparsities: `s_t = s_f + (s_i − s_f)(1 − (t − t_0)/(nΔt))³`, from s_i = 0."""
    times = np.arange(0, 400, 7)
    progress = np.clip((times - 100) / 200, 0, 1)
    sparsity = (1 - keep) + (0 - (1 - keep)) * (1 - progress) ** 3
    np.testing.assert_allclose(_at(cubic(keep, "100it", "300it"), times), 1 - sparsity, atol=1e-6)


def test_linear():
    times = np.arange(0, 400, 7)
    expected = np.interp(times, [100, 300], [1, 0.2])
    np.testing.assert_allclose(_at(linear(0.2, "100it", "300it"), times), expected, atol=1e-6)


@pytest.mark.parametrize("schedule", [cubic(0.3, "10it", "20it"), linear(0.3, "10it", "20it")])
def test_ramps_begin_at_everything_and_end_exactly(schedule):
    assert _at(schedule, [0, 10]).tolist() == [1, 1]
    np.testing.assert_array_equal(_at(schedule, [20, 21, 10**6]), np.float32(0.3))
    inside = _at(schedule, range(10, 21))
    assert (np.diff(inside) < 0).all()


def test_constant_and_steps():
    assert _at(constant(0.25, "5it"), [0, 4, 5, 99]).tolist() == [1, 1, 0.25, 0.25]
    staircase = steps([10, "20it"], [0.5, 0.25])
    assert _at(staircase, [0, 9, 10, 19, 20, 99]).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_epochs_are_counted_in_steps():
    schedule = cubic(0.1, "1ep", "3ep")
    with pytest.raises(kp.PruneError, match=r"schedule\.at\(steps_per_epoch\)"):
        schedule(5)
    times = range(40)
    np.testing.assert_array_equal(_at(schedule.at(10), times), _at(cubic(0.1, "10it", "30it"), times))
    np.testing.assert_array_equal(
        _at(steps(["1ep", "1ep5it"], [0.5, 0.2]).at(10), times), _at(steps([10, 15], [0.5, 0.2]), times)
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_schedules_run_inside_the_graph(compiled):
    for schedule in (cubic(0.1, 0, 50), linear(0.1, 0, 50), constant(0.5, 3), steps([3, 5], [0.5, 0.2])):
        function = tf.function(lambda step, schedule=schedule: schedule(step), jit_compile=compiled)
        for step in (0, 3, 20, 60):
            np.testing.assert_allclose(function(tf.constant(step)), float(schedule(step)), rtol=1e-6)
    assert keras.backend.is_float_dtype(cubic(0.1, 0, 50)(3).dtype)


@pytest.mark.parametrize("keep", [0, -0.1, 1.5, float("nan"), "0.5", True, None])
def test_fractions_out_of_range_are_refused(keep):
    for make in (cubic, linear, constant, lambda keep: steps([1], [keep])):
        with pytest.raises(kp.PruneError, match=r"a fraction kept in \(0, 1\]"):
            make(keep)


def test_points_out_of_order_are_refused():
    for begin, end in (("10it", "10it"), ("20it", "10it"), ("3ep", "2ep")):
        with pytest.raises(kp.PruneError, match="one after the other"):
            cubic(0.5, begin, end)
    with pytest.raises(kp.PruneError, match="one after the other. Received: 20it, then 10it"):
        steps([20, 10], [0.5, 0.25])
    with pytest.raises(kp.PruneError, match="one after the other. Received: 500it, then 2ep\\b"):
        cubic(0.5, "500it", "2ep").at(100)
    cubic(0.5, "500it", "2ep").at(1000)


def test_as_many_fractions_as_points():
    with pytest.raises(kp.PruneError, match="2 points, 1 fractions"):
        steps([1, 2], [0.5])
    with pytest.raises(kp.PruneError, match="one fraction for each point"):
        steps([], [])


# ---- of tensorflow-model-optimization ------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1, 3])
def test_polynomial_decay_and_constant_sparsity_against_their_source(power):
    """`s_f + (s_i − s_f)(1 − p)^power`, p the progress, clipped to [0, 1]; here as what is kept."""
    times = np.arange(10, 60, 3)
    progress = np.clip((times - 10) / 30, 0, 1)
    sparsity = 0.9 + (0.25 - 0.9) * (1 - progress) ** power
    found = PolynomialDecay(0.25, 0.9, 10, 40, power, frequency=7)
    np.testing.assert_allclose(_at(found, times), 1 - sparsity, atol=1e-6)
    assert found.every == 7 and PolynomialDecay(0.0, 0.5, 0, 10).every == 100
    assert updates(found, 7, None, None).at(9) == 1.0  # before it begins nothing is removed
    assert _at(ConstantSparsity(0.75, 5, end_step=-1), [0, 4, 5, 99]).tolist() == [1, 1, 0.25, 0.25]
    config = {"initial_sparsity": 0.25, "final_sparsity": 0.9, "begin_step": 10, "end_step": 40, "power": power}
    config = {"class_name": "PolynomialDecay", "config": {**config, "frequency": 7}}
    assert kp.schedules.from_tfmot(config) == found


def test_a_ramp_from_somewhere():
    assert PolynomialDecay(0.5, 0.75, 0, 10) == replace(cubic(0.25, 0, 10, start=0.5), every=100)
    assert _at(linear(0.2, 0, 10, start=0.6), [0, 5, 10]) == pytest.approx([0.6, 0.4, 0.2])
    with pytest.raises(kp.PruneError, match="start=0.2, keep=0.5: nothing comes back"):
        cubic(0.5, start=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 0, 10), "final_sparsity to be a sparsity, the fraction removed"),
        ((-0.1, 0.5, 0, 10), "initial_sparsity"),
        ((0.0, 0.5, "1ep", 10), "begin_step to be an integer"),
        ((0.0, 0.5, 10, 10), "begin_step < end_step"),
        ((0.9, 0.5, 0, 10), "nothing comes back"),
        ((0.0, 0.5, 0, 10, 3, 0), "frequency"),
    ],
)
def test_bad_polynomial_decay(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        PolynomialDecay(*arguments)


@pytest.mark.parametrize(
    ("callback", "every"),
    [
        (lambda: GradualMagnitude(PolynomialDecay(0.0, 0.5, 0, 10, frequency=3)), 3),
        (lambda: GradualMagnitude(PolynomialDecay(0.0, 0.5, 0, 10, frequency=3), every=5), 5),
        (lambda: GradualMagnitude(cubic(0.5)), 100),
    ],
)
def test_the_frequency_is_the_schedules_own(callback, every):
    assert callback().every == every


def test_a_pattern_needs_no_schedule():
    found = GradualMagnitude(scope={"name": "m_by_n", "m": 1, "n": 4})
    assert found.schedule == constant(0.75) and found.selection.scope.keep == 3
    with pytest.raises(kp.PruneError, match="only a pattern"):
        GradualMagnitude()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolynomialDecay(0.8, 0.5, 0, 10), "Received: initial_sparsity=0.8, final_sparsity=0.5"),
        (lambda: PolynomialDecay(0.0, 0.5, 10, 5), "Received: begin_step=10, end_step=5"),
        (lambda: ConstantSparsity(1.0, 0), "Received: target_sparsity=1.0"),
        (lambda: constant(2.0), "Received: keep=2.0"),
        (lambda: kp.callbacks.GReg1(keep={"a": 0.0}), r"Received: keep\['a'\]=0.0"),
    ],
)
def test_faults_name_the_arguments_of_the_caller(make, message):
    with pytest.raises(kp.PruneError, match=message):
        make()


WHOLE = {
    kp.schedules.Moment: {"epochs": 1, "iterations": 2},
    kp.schedules.Ramp: {
        "keep": 0.5, "begin": kp.schedules.Moment(), "end": kp.schedules.Moment(10), "power": 3.0,
        "steps_per_epoch": 5, "start": 1.0, "every": 10,
    },
    kp.schedules.Steps: {
        "points": (kp.schedules.Moment(),), "fractions": (0.5,), "steps_per_epoch": 5,
    },
    cubic: {"keep": 0.5, "begin": 0, "end": "10ep", "start": 1.0},
    linear: {"keep": 0.5, "begin": 0, "end": "10ep", "start": 1.0},
    constant: {"keep": 0.5, "begin": 0},
    kp.schedules.steps: {"points": [0], "fractions": [0.5]},
    PolynomialDecay: {
        "initial_sparsity": 0.0, "final_sparsity": 0.5, "begin_step": 0, "end_step": 10, "power": 3, "frequency": 100,
    },
    ConstantSparsity: {"target_sparsity": 0.5, "begin_step": 0, "end_step": -1, "frequency": 100},
    kp.schedules.LinearGrowth: {"step": 0.1, "every": 10, "ceiling": 1.0, "settle": 5, "stop": True},
    kp.schedules.TwoSlopeGrowth: {
        "pick_step": 0.01, "push_step": 0.1, "every": 10, "pick_at": 0.1, "ceiling": 1.0, "settle": 5, "stop": True,
    },
    kp.schedules.GeometricGrowth: {
        "steps": 10, "settle": 3, "every": 1, "ratio": 100.0, "strength": 0.25, "ceiling": 1.0, "stop": True,
    },
}  # fmt: skip
JUNK = ("a", -2, float("nan"), [-1], object(), ("a",))


@pytest.mark.parametrize(
    ("make", "name"),
    [(make, name) for make, whole in WHOLE.items() for name in whole],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_an_argument_that_means_nothing_is_refused_by_all(make, name):
    """Texts, negative numbers, NaN, lists and objects; a plain error of Python would fail here."""
    make(**WHOLE[make])
    for junk in JUNK:
        with pytest.raises(kp.PruneError, match="Expected (.|\n)*Received: "):
            make(**WHOLE[make] | {name: junk})


def test_a_power_of_zero_would_never_arrive():
    for make in (PolynomialDecay, kp.schedules.Ramp):
        with pytest.raises(kp.PruneError, match="Expected power to be a number above 0. Received: power=0"):
            make(**WHOLE[make] | {"power": 0})


def test_a_function_that_returns_no_fraction_is_refused():
    for found in ("a", [0.5, 0.4], None):
        with pytest.raises(kp.PruneError, match="returns a fraction kept. Received: "):
            updates(lambda step, found=found: found, 5, 10, 20)
