"""The optimum at a cost, against dense grids, bounds worked out by hand, and conditions checked by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from support.accuracy_surfaces import product, rising_cubics, thirteen

import kerasprune as kp
from kerasprune.papers.three_dimensional import MAP, Buildable, Smooth, Volume


def fitted(seed: int) -> MAP:
    points = thirteen(0.3)
    return MAP(starts=2).fit(*points.T, product(points, rising_cubics(seed)))


def best_on_grid(cubics: np.ndarray, cost: float, lower: tuple) -> float:
    """Returns the largest value over a dense grid of the constraint surface: d and r, solved for w."""
    d, r = np.meshgrid(np.linspace(lower[0], 1, 401), np.linspace(lower[2], 1, 401))
    w = np.sqrt(cost / (d * r**2))
    inside = (w >= lower[1] - 1e-12) & (w <= 1 + 1e-12)
    return product(np.stack([d, w, r], axis=-1)[inside], cubics).max()


def left_over(surface: MAP, point: np.ndarray, lower: np.ndarray) -> float:
    """Returns the least max-norm of ∇F − λ∇C − μ over λ and legal μ, by finite differences."""
    step = 1e-6
    up = np.array(
        [(surface.predict(*(point + e)) - surface.predict(*(point - e))) / 2 / step for e in step * np.eye(3)]
    )
    d, w, r = point
    cost = np.array([w**2 * r**2, 2 * d * w * r**2, 2 * d * w**2 * r])
    high, low = point >= 1 - 1e-8, point <= lower + 1e-8

    def worst(multiplier: float) -> float:
        rest = up - multiplier * cost
        rest = np.where(high & (rest > 0), 0, rest)  # pushed against 1
        return np.abs(np.where(low & (rest < 0), 0, rest)).max()

    middle = (up @ cost) / (cost @ cost)
    width = 10 * np.abs(up / cost).max()
    found = minimize_scalar(worst, bounds=(middle - width, middle + width), method="bounded", options={"xatol": 1e-12})
    return min(found.fun, worst(middle), *map(worst, up / cost))  # convex in λ, with its corners where an entry is 0


@pytest.mark.thorough
@pytest.mark.parametrize("start", range(0, 100, 20))
def test_a_hundred_surfaces(start):
    for seed in range(start, start + 20):
        cost = (0.3, 0.5, 0.7)[seed % 3]
        lower = np.array([cost, cost**0.5, cost**0.5])
        cubics, surface = rising_cubics(seed), fitted(seed)
        found = surface.optimum(cost=cost)
        d, w, r = found
        assert abs(d * w**2 * r**2 - cost) <= 1e-6
        assert (np.array(found) >= lower - 1e-9).all() and (np.array(found) <= 1).all()
        assert product(np.array(found), cubics) >= best_on_grid(cubics, cost, tuple(lower)) * (1 - 1e-3)
        assert found.kkt <= 1e-5
        assert left_over(surface, np.array(found), lower) <= 1e-5


def test_the_optimum_at_a_volume_is_the_best_of_a_dense_grid():
    """Of a surface with a degree for each dimension."""
    points, degrees = thirteen(0.3), (1, 3, 2)
    surface = MAP(degree=degrees).fit(*points.T, product(points, rising_cubics(4)))
    lower = (0.6, 0.6**0.5, 0.6**0.5)
    d, r = (each.ravel() for each in np.meshgrid(np.linspace(lower[0], 1, 401), np.linspace(lower[2], 1, 401)))
    w = np.sqrt(0.6 / (d * r**2))
    inside = (w >= lower[1]) & (w <= 1)
    found = surface.optimum(0.6, constraint=Volume())
    assert found.d * found.w**2 * found.r**2 == pytest.approx(0.6)
    best = surface.predict(d[inside], w[inside], r[inside]).max()
    assert best * (1 - 1e-9) <= surface.predict(*found) <= best * (1 + 1e-4)


@pytest.mark.parametrize("kept", [(2, 16, 32), (4, 8, 32), (4, 16, 24), (1, 4, 8)])
def test_the_volume_is_the_share_of_the_multiply_adds_of_equal_layers(kept):
    """Equation 4: four 3×3 convolutions of 16 channels at 32×32, fewer of them, narrower, on smaller images."""
    layers, channels, side = kept
    point = np.array(kept) / [4, 16, 32]
    share = layers * 9 * channels**2 * side**2 / (4 * 9 * 16**2 * 32**2)
    assert Volume().cost(point) == pytest.approx(share, rel=1e-12)
    by_differences = Smooth(lambda d, w, r: d * w * w * r * r).gradient(point)
    np.testing.assert_allclose(Volume().gradient(point), by_differences, rtol=1e-6)


def test_the_paper_bounds_can_be_lowered():
    surface = fitted(7)
    assert surface.optimum(0.5) == surface.optimum(0.5, lower=(0.5, 0.5**0.5, 0.5**0.5))
    wide = surface.optimum(0.5, lower=(0.3, 0.3, 0.3))
    assert surface.predict(*wide) >= surface.predict(*surface.optimum(0.5)) - 1e-9


def test_everything_stays_at_cost_one():
    assert fitted(0).optimum(cost=1.0) == (1.0, 1.0, 1.0)


def test_a_dimension_that_does_not_matter_gives_way():
    points = thirteen()
    flat_in_r = product(points, np.array([[0.5, 0.5, 0, 0], [0.4, 0.6, 0, 0], [90, 1e-6, 0, 0]]))
    np.testing.assert_allclose(MAP().fit(*points.T, flat_in_r).optimum(0.5), (1, 1, 0.5**0.5), atol=1e-6)


def test_another_cost_is_met_as_well():
    def cost(d: float, w: float, r: float) -> float:
        return (0.1 + 0.9 * d) * (0.3 * w + 0.7 * w**2) * r**2

    surface = fitted(11)
    for constraint in (cost, Smooth(cost)):
        found = surface.optimum(0.5, lower=(0.3, 0.3, 0.3), constraint=constraint)
        assert abs(cost(*found) - 0.5) <= 1e-6
        assert found.kkt <= 1e-5
    d, r = np.meshgrid(np.linspace(0.3, 1, 201), np.linspace(0.3, 1, 201))
    share = 0.5 / ((0.1 + 0.9 * d) * r**2)
    w = (-0.3 + np.sqrt(0.09 + 2.8 * share)) / 1.4
    inside = (w >= 0.3) & (w <= 1)
    best = surface.predict(d[inside], w[inside], r[inside]).max()
    assert surface.predict(*found) >= best * (1 - 1e-3)


def test_of_networks_that_can_be_built_the_best_is_chosen():
    surface = fitted(3)
    d, w, r = (x.ravel() for x in np.meshgrid([0.4, 0.6, 0.8, 1], [0.5, 0.75, 1], [0.5, 0.75, 1]))
    costs = d * w**2 * r**2
    found = surface.optimum(0.5, lower=(0.1, 0.1, 0.1), constraint=Buildable(d, w, r, costs))
    within = costs <= 0.5
    values = surface.predict(d[within], w[within], r[within])
    assert tuple(found) == tuple(np.stack([d, w, r], axis=1)[within][values.argmax()])
    assert np.isnan(found.kkt)


def test_what_cannot_be_reached_is_an_error():
    surface = fitted(0)
    with pytest.raises(kp.PruneError, match="between 0.512.*Received: 0.3"):
        surface.optimum(0.3, lower=(0.8, 0.8, 1.0))
    with pytest.raises(kp.PruneError, match="costs 0.8"):
        surface.optimum(0.3, lower=(0.1, 0.1, 0.1), constraint=Buildable([1, 0.8], 1, 1, [1, 0.8]))
    for cost in (0, 1.5, -0.1, "half", True):
        with pytest.raises(kp.PruneError, match="cost to be a fraction"):
            surface.optimum(cost)
    with pytest.raises(kp.PruneError, match="lower to hold three fractions"):
        surface.optimum(0.5, lower=(0.5, 0.5))
    with pytest.raises(kp.PruneError, match="lower to hold numbers. Received: lower='abc'"):
        surface.optimum(0.5, lower="abc")
