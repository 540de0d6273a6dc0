"""Laws of growth and critical damping against formulas written out, and against a heavy ball in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune import PruneError
from kerasprune.training.damping import Damping, critical_damping
from kerasprune.training.regularizers.growth import GeometricGrowth, Growth, LinearGrowth, TwoSlopeGrowth, growths
from kerasprune.training.session import Session
from kerasprune.training.shrinkage import schedule_doubts

MOMENTUM = 0.9


def heavy_ball(products, momentum: float, nesterov: bool = False) -> np.ndarray:
    """Returns a weight under `½ λ w²` alone, step by step, as Keras's SGD moves it; `products` are η·λ."""
    weight, speed, seen = 1.0, 0.0, [1.0]
    for product in products:
        speed = momentum * speed - product * weight
        weight += momentum * speed - product * weight if nesterov else speed
        seen.append(weight)
    return np.array(seen)


def session(optimizer: keras.optimizers.Optimizer) -> Session:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return Session(model)


def numbers(law: Growth, steps) -> np.ndarray:
    return np.array([float(keras.ops.convert_to_numpy(law(step))) for step in steps])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("nesterov", [False, True])
def test_critical_damping_is_where_a_heavy_ball_begins_to_ring(momentum, nesterov):
    optimizer = keras.optimizers.SGD(0.01, momentum, nesterov=nesterov)
    critical, lasting = critical_damping(optimizer, decoupled=False)
    below, above = (heavy_ball(np.full(4000, part * critical), momentum, nesterov) for part in (0.999, 1.05))
    assert (below[:60] > 0).all() and (below >= 0).all() and (above < 0).any()
    at = heavy_ball(np.full(60, critical), momentum, nesterov)
    # a double root r: w'' = 2 r w' − r² w
    np.testing.assert_allclose(at[2:], 2 * lasting * at[1:-1] - lasting**2 * at[:-2], rtol=1e-6)
    assert critical_damping(optimizer, decoupled=True) == (1.0, 0.0)


def test_the_figures_of_momentum_0_9():
    assert critical_damping(keras.optimizers.SGD(0.01, 0.9), False) == pytest.approx((0.002633, 0.948683), rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize("nesterov", [False, True])
def test_geometric_growth_up_to_critical_damping_rings_nowhere_and_beyond_it_swings_little(nesterov):
    optimizer = keras.optimizers.SGD(0.02, MOMENTUM, nesterov=nesterov)
    for steps, swing in ((100, 0.2), (200, 0.1), (600, 0.012)):
        law, gentle = (
            GeometricGrowth(steps, strength=strength).within(Damping.of(session(optimizer), False, steps))
            for strength in (0.25, 1e-9)
        )
        weights = heavy_ball(0.02 * numbers(law, range(steps)), MOMENTUM, nesterov)
        followed = heavy_ball(0.02 * numbers(gentle, range(steps)), MOMENTUM, nesterov)
        assert (followed > 0).all() and -swing < weights.min() < 0
        assert np.abs(weights[-20:]).max() < 0.5 * followed[-1]


def test_what_the_loss_holds_is_left_at_its_gradient_by_the_penalty():
    """A weight that the loss pulls at with a gradient of 1: its minimum is −1/λ, which follows λ up."""
    law = GeometricGrowth(600).within(Damping.of(session(keras.optimizers.SGD(0.02, MOMENTUM)), False, 600))
    weight = speed = 0.0
    for strength in numbers(law, range(600)):
        speed = MOMENTUM * speed - 0.02 * (strength * weight + 1.0)
        weight += speed
    assert weight == pytest.approx(-0.02 / 0.25, rel=0.02)


def test_a_strength_is_a_share():
    for strength in (0.0, 1.5, "much"):
        with pytest.raises(PruneError, match="Expected strength to be a share of a weight that a step takes in"):
            GeometricGrowth(60, strength=strength)


def test_geometric_growth_is_its_formula():
    damping = Damping.of(session(keras.optimizers.SGD(0.02, 0.9)), False, 60)
    law = GeometricGrowth(60, settle=20, every=4, ratio=50.0, strength=0.1).within(damping)
    expected = [0.1 / 0.02 * 50 ** (min(step // 4 * 4 / 40, 1) - 1) for step in range(60)]
    np.testing.assert_allclose(numbers(law, range(60)), expected, rtol=1e-5)
    assert (law.length, law.pick, GeometricGrowth(60).settle) == (60, 20, 18)
    fixed = GeometricGrowth(60, settle=20, ratio=100.0, ceiling=3.0)
    assert numbers(fixed, [0, 40, 59]) == pytest.approx([0.03, 3.0, 3.0])


def test_the_rate_of_every_step_counts():
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 100, alpha=0.05)
    one = session(keras.optimizers.SGD(cosine, 0.9))
    law = GeometricGrowth(90, settle=30, ratio=100.0).within(Damping.of(one, False, 90))
    products = [float(cosine(step)) * value for step, value in zip(range(90), numbers(law, range(90)), strict=True)]
    np.testing.assert_allclose(products[60:], 0.25, rtol=1e-4)
    assert products[0] == pytest.approx(0.0025, rel=1e-4)
    one.start = 10  # the fit began at a later step of the optimizer
    assert numbers(law, [80])[0] == pytest.approx(0.25 / float(cosine(90)), rel=1e-4)
    waiting = session(keras.optimizers.SGD(cosine, 0.9, gradient_accumulation_steps=2))
    law = GeometricGrowth(40, settle=20).within(Damping.of(waiting, False, 40))
    assert numbers(law, [30])[0] == pytest.approx(0.25 / float(cosine(60)), rel=1e-4)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="there only schedules are followed")
def test_a_rate_that_is_set_during_fit_counts():
    one = session(keras.optimizers.SGD(0.1, 0.9))
    law = GeometricGrowth(9).within(Damping.of(one, False, 9))
    one.model.optimizer.learning_rate = 0.05
    assert numbers(law, [8])[0] == pytest.approx(0.25 / 0.05, rel=1e-4)
    one.model.optimizer.learning_rate = 0.0  # a warm-up from nothing: the penalty stays finite
    assert np.isfinite(numbers(law, [8])).all()


def test_without_a_damping_the_ceiling_is_that_of_the_papers():
    assert Damping.of(session(keras.optimizers.Adam(0.01)), False, 9) is None
    assert numbers(GeometricGrowth(9).within(None), [8]) == pytest.approx([1.0])
    apart = Damping.of(session(keras.optimizers.Adam(0.01)), True, 9)
    assert numbers(GeometricGrowth(9).within(apart), [8]) == pytest.approx([100.0])


def test_doubts_of_a_schedule():
    def said(law, optimizer, undone=False):
        damping = Damping.of(session(optimizer), False, law.length)
        return schedule_doubts(law.within(damping), damping, undone)

    papers, two = LinearGrowth(), TwoSlopeGrowth()
    for law in (papers, two):
        assert said(law, keras.optimizers.SGD(1e-3, 0.9), undone=True) == []
        (rings,) = said(law, keras.optimizers.SGD(1e-2, 0.9), undone=True)
        assert "rises to 0.01, beyond critical damping, 0.0026" in rings
    short = GeometricGrowth(600)
    assert said(short, keras.optimizers.SGD(1e-2, 0.9)) == []
    (undone,) = said(short, keras.optimizers.SGD(1e-2, 0.9), undone=True)
    assert "alone it would leave exp(−" in undone and 'granularity="channel"' in undone
    assert said(LinearGrowth(ceiling=50.0, step=50.0), keras.optimizers.Adam(0.1)) == []  # the base says what Adam does


@pytest.mark.thorough
def test_the_exponent_is_the_logarithm_of_what_a_heavy_ball_leaves():
    damping = Damping.of(session(keras.optimizers.SGD(1e-3, 0.9)), False, 4000)
    for ceiling in (0.02, 0.2):
        law = LinearGrowth(step=ceiling / 400, every=10, ceiling=ceiling, settle=10)
        left = heavy_ball(1e-3 * numbers(law, range(law.length)), 0.9)[-1]
        found = damping.exponent(damping.products(law, law.length), law.length)
        assert found == pytest.approx(-np.log(left), rel=0.1)


def test_laws_by_name():
    assert growths.get("linear") == LinearGrowth() and growths.get(
        {"name": "geometric", "steps": 9}
    ) == GeometricGrowth(9)
    for wrong in (2, 3.5, None):
        with pytest.raises(PruneError, match="steps="):
            GeometricGrowth(wrong)
    with pytest.raises(PruneError, match="settle=8, steps=9"):
        GeometricGrowth(9, settle=8)
    with pytest.raises(PruneError) as caught:
        GeometricGrowth(9, ratio=0.5, ceiling=-1.0, every=0)
    assert str(caught.value).count("\n  - ") == 3
