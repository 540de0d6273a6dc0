"""The penalties on scales against NumPy, finite differences and what the paper proves of them."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import kerasprune as kp
from kerasprune.training.regularizers import NetworkSlimming, Polarization, Together

SCALES = st.integers(2, 40).flatmap(
    lambda n: hnp.arrays(np.float64, n, elements=st.floats(0, 1, allow_subnormal=False, width=32))
)
WEIGHTS = st.floats(0, 3, allow_subnormal=False)


def polarization(gammas: np.ndarray, t: float) -> float:
    """Eq. 2 of the paper, in float64."""
    gammas = np.asarray(gammas, "float64")
    return t * np.abs(gammas).sum() - np.abs(gammas - gammas.mean()).sum()


def penalty_and_gradient(penalty, gammas) -> tuple[float, np.ndarray]:
    gammas = tf.constant(gammas)
    with tf.GradientTape() as tape:
        tape.watch(gammas)
        value = penalty.penalty(gammas)
    return float(value), tape.gradient(value, gammas).numpy()


@settings(max_examples=60, deadline=None)
@given(SCALES, WEIGHTS)
def test_value(gammas, t):
    found, _ = penalty_and_gradient(Polarization(2.0, t), gammas)
    assert found == pytest.approx(2 * polarization(gammas, t), rel=1e-5, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), WEIGHTS)
def test_gradient_against_finite_differences(seed, size, t):
    gammas = np.random.default_rng(seed).uniform(-0.2, 1, size)
    # The corners of |x| have no slope: keep away from them.
    if min(np.abs(gammas).min(), np.abs(gammas - gammas.mean()).min()) < 1e-4:
        return
    _, found = penalty_and_gradient(Polarization(1.0, t), gammas)
    step = 1e-6 * np.eye(size)
    expected = [(polarization(gammas + d, t) - polarization(gammas - d, t)) / 2e-6 for d in step]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gradient_is_that_of_the_formula_with_the_mean_differentiated():
    gammas = np.array([0.0, 0.1, 0.2, 0.9])  # mean 0.3: signs −, −, −, +
    _, found = penalty_and_gradient(Polarization(1.0, 1.2), gammas)
    signs = np.sign(gammas - gammas.mean())
    np.testing.assert_allclose(found, 1.2 * np.sign(gammas) - signs + signs.mean(), atol=1e-6)
    assert found[0] > 0  # a scale at zero is held there


def test_float32_is_as_good():
    gammas = np.random.default_rng(0).uniform(0, 1, 1000)
    value, gradient = penalty_and_gradient(Polarization(1.0, 1.2), gammas.astype("float32"))
    _, exact = penalty_and_gradient(Polarization(1.0, 1.2), gammas)
    assert value == pytest.approx(polarization(gammas, 1.2), rel=1e-5)
    np.testing.assert_allclose(gradient, exact, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(SCALES, WEIGHTS, st.randoms(use_true_random=False))
def test_permutation_invariance(gammas, t, random):
    order = list(range(len(gammas)))
    random.shuffle(order)
    for penalty in (Polarization(1.0, t), NetworkSlimming(1.0)):
        one, _ = penalty_and_gradient(penalty, gammas)
        other, _ = penalty_and_gradient(penalty, gammas[order])
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), WEIGHTS, st.floats(0, 1))
def test_concavity_on_the_box(seed, size, t, share):
    """Lemma 3.1: no point between two others is below the line between them."""
    one, other = np.random.default_rng(seed).uniform(0, 1, (2, size))
    between = share * one + (1 - share) * other
    penalty = Polarization(1.0, t)
    values = [penalty_and_gradient(penalty, gammas)[0] for gammas in (one, other, between)]
    assert values[2] >= share * values[0] + (1 - share) * values[1] - 1e-5


@pytest.mark.matrix
@pytest.mark.parametrize("t", [-0.0, 0.4, 0.8, 1.0, 1.2, 1.5, 1.9, 2.0, 2.5])
@pytest.mark.parametrize("ceiling", [1.0, 2.5])
def test_minimiser_on_the_box(t, ceiling):
    """Of all corners of the box, one with a share clip((2 − t)/4, 0, 1) of the scales at a is lowest."""
    size = 20
    penalty = Polarization(1.0, t)
    values = [penalty_and_gradient(penalty, ceiling * (np.arange(size) < kept))[0] for kept in range(size + 1)]
    lowest = np.flatnonzero(np.asarray(values) <= min(values) + 1e-9) / size
    assert np.abs(lowest - np.clip((2 - t) / 4, 0, 1)).min() <= 0.5 / size
    # A concave function has no lower point inside.
    inside = np.random.default_rng(0).uniform(0, ceiling, (200, size))
    assert min(penalty_and_gradient(penalty, gammas)[0] for gammas in inside) >= min(values)


@pytest.mark.thorough
def test_small_boxes_by_brute_force():
    grid = np.linspace(0, 1, 5)
    for t in (0.5, 1.2, 1.7):
        points = list(itertools.product(grid, repeat=4))
        best = points[int(np.argmin([polarization(p, t) for p in points]))]
        found = min(penalty_and_gradient(Polarization(1.0, t), np.array(p))[0] for p in points)
        assert set(best) <= {0.0, 1.0}
        assert found == pytest.approx(polarization(best, t), abs=1e-6)


def test_slimming_is_the_l1_norm():
    value, gradient = penalty_and_gradient(NetworkSlimming(0.5), np.array([0.5, -2.0, 0.0]))
    assert value == 1.25
    np.testing.assert_array_equal(gradient, [0.5, -0.5, 0.0])


def test_together_differentiates_what_it_reads_of_others():
    values = [np.array([0.1, 0.9], "float32"), np.array([0.3, 0.6, 0.0], "float32")]
    one, two = (keras.Variable(value) for value in values)
    parts = [keras.ops.convert_to_tensor, lambda _: keras.ops.convert_to_tensor(two)]
    whole = Together(Polarization(3.0, 1.2).penalty, parts, lambda: 0.5)
    with tf.GradientTape() as tape:
        loss = whole(one)
    found = np.concatenate(tape.gradient(loss, [one.value, two.value]))
    value, expected = penalty_and_gradient(Polarization(1.5, 1.2), np.concatenate(values))
    assert float(loss) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_as_a_regularizer_of_one_variable():
    layer = keras.layers.BatchNormalization(gamma_regularizer=Polarization(1.0, 1.2))
    layer.build((None, 4))
    assert float(layer.losses[0]) == pytest.approx(4.8, rel=1e-6)
    again = Polarization.from_config(Polarization(0.3, 1.4).get_config())
    assert (again.strength, again.t) == (0.3, 1.4)
    assert NetworkSlimming.from_config(NetworkSlimming(0.3).get_config()).strength == 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polarization(0), "strength=0"),
        (lambda: Polarization(-1e-4), "strength=-0.0001"),
        (lambda: Polarization(float("nan")), "strength=nan"),
        (lambda: Polarization("much"), "strength='much'"),
        (lambda: Polarization(1e-4, t=-1), "t=-1"),
        (lambda: Polarization(1e-4, t=True), "t=True"),
        (lambda: NetworkSlimming(float("inf")), "strength=inf"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(kp.PruneError, match=message):
        make()


def test_names():
    assert kp.regularizers.Polarization is Polarization
    assert (Polarization().strength, Polarization().t, NetworkSlimming().strength) == (1e-4, 1.2, 1e-4)
