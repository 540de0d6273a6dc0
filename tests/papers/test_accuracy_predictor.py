"""Models of accuracy against surfaces that are known, and against the figures of the published table."""

from __future__ import annotations

import numpy as np
import pytest
from support.accuracy_surfaces import product, rising_cubics, thirteen

import kerasprune as kp
from kerasprune.papers.three_dimensional import MAP, Polynomial, table5

RESNET, DENSENET = "resnet32", "densenet40"


@pytest.mark.parametrize("seed", range(5))
def test_thirteen_points_determine_a_product_of_cubics(seed):
    cubics, points = rising_cubics(seed), thirteen()
    surface = MAP().fit(*points.T, product(points, cubics))
    elsewhere = np.random.default_rng(seed).uniform(0.5, 1, (200, 3))
    np.testing.assert_allclose(surface.predict(*elsewhere.T), product(elsewhere, cubics), rtol=1e-6)


@pytest.mark.thorough
def test_rank_two_is_found_from_points_all_over():
    points = np.random.default_rng(0).uniform(0.4, 1, (80, 3))
    truth = product(points, rising_cubics(1)) + product(points, rising_cubics(2) * [[0.3], [1], [1]])
    surface = MAP(rank=2).fit(*points.T, truth)
    np.testing.assert_allclose(surface.predict(*points.T), truth, rtol=1e-4)
    assert np.abs(MAP(rank=1).fit(*points.T, truth).residuals()).max() > 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_equal_ratios_leave_rank_one_no_residual(seed):
    """Appendix A.2: a grid filled cell by cell from ratios that do not depend on the other two dimensions."""
    generator = np.random.default_rng(seed)
    levels = np.linspace(0.4, 1, 4)
    steps = generator.uniform(1.02, 1.3, (3, 3))  # from one level of each dimension to the next
    grid = np.full((4, 4, 4), np.nan)
    grid[0, 0, 0] = 40.0
    for cell in list(np.ndindex(4, 4, 4))[1:]:
        axis = generator.choice(np.flatnonzero(cell))  # whichever dimension the last step is taken along
        before = tuple(np.subtract(cell, np.eye(3, dtype=int)[axis]))
        grid[cell] = grid[before] * steps[axis, before[axis]]
    points = np.array(list(np.ndindex(4, 4, 4)))
    surface = MAP().fit(*levels[points].T, grid.ravel())
    assert np.abs(surface.residuals()).max() < 1e-6 * grid.max()
    assert np.abs(Polynomial(2).fit(*levels[points].T, grid.ravel()).residuals()).max() > 1e-3
    bent = grid * (1 + 0.05 * np.isin(np.arange(64), [0, 63])).reshape(4, 4, 4)
    assert np.abs(MAP().fit(*levels[points].T, bent.ravel()).residuals()).max() > 1e-3 * grid.max()


def test_gradient_is_that_of_finite_differences():
    points = thirteen()
    for surface in (MAP(), Polynomial(2, centre=1.0), Polynomial(3)):
        surface.fit(*points.T, product(points, rising_cubics(3)))
        at, step = np.array([0.7, 0.8, 0.9]), 1e-5
        ends = [[surface.predict(*(at + sign * step * unit)) for sign in (1, -1)] for unit in np.eye(3)]
        np.testing.assert_allclose(surface.gradient(*at), [(up - down) / 2 / step for up, down in ends], rtol=1e-5)


def test_a_full_polynomial_of_degree_one_is_linear_regression_with_products():
    points = np.random.default_rng(0).uniform(0.2, 1, (30, 3))
    accuracy = np.random.default_rng(1).uniform(60, 90, 30)
    d, w, r = points.T
    design = np.stack([np.ones(30), d, w, r, d * w, d * r, w * r, d * w * r], axis=1)
    solution = np.linalg.solve(design.T @ design, design.T @ accuracy)
    np.testing.assert_allclose(Polynomial(1).fit(d, w, r, accuracy).predict(d, w, r), design @ solution, rtol=1e-8)
    # Powers about another centre span the same surfaces, so that enough points give the same one.
    np.testing.assert_allclose(Polynomial(1, centre=1.0).fit(d, w, r, accuracy).predict(d, w, r), design @ solution)


def test_a_degree_for_each_dimension_is_least_squares_in_that_many_powers():
    """On three axes rank 1 is a polynomial along each, through one value at (1, 1, 1).

    Given that value, the curve of each axis is solved by itself; the sum of squares is quadratic in the value.
    """
    generator, degrees = np.random.default_rng(0), (1, 3, 2)
    points = thirteen()
    accuracy = product(points, rising_cubics(1)) + generator.normal(0, 0.5, len(points))
    surface = MAP(degree=degrees).fit(*points.T, accuracy)
    assert surface.free == sum(degrees) + 1

    def left(common):
        total = (accuracy[0] - common) ** 2
        for axis, degree in enumerate(degrees):
            on = points[:, axis] < 1
            powers = (points[on, axis, None] - 1) ** np.arange(1, degree + 1)
            above = accuracy[on] - common
            total += np.square(above - powers @ np.linalg.lstsq(powers, above)[0]).sum()
        return total

    parabola = np.polyfit([-1, 0, 1], [left(accuracy[0] + away) for away in (-1, 0, 1)], 2)
    best = np.polyval(parabola, -parabola[1] / 2 / parabola[0])
    assert np.sum(surface.residuals() ** 2) == pytest.approx(best, rel=1e-5)
    assert best > 1.05 * np.sum(MAP().fit(*points.T, accuracy).residuals() ** 2)  # or it would not tell degrees apart


@pytest.mark.parametrize("rank", [1, 2])
def test_three_equal_degrees_are_one(rank):
    points = np.random.default_rng(0).uniform(0.3, 1, (30, 3))
    accuracy = np.random.default_rng(1).uniform(60, 90, 30)
    one, three = (MAP(rank, degree, starts=2).fit(*points.T, accuracy) for degree in (2, (2, 2, 2)))
    assert one.free == three.free
    np.testing.assert_array_equal(one.residuals(), three.residuals())


def test_too_few_depths_ask_for_a_lower_degree_of_depth_alone():
    points = thirteen()
    points[:, 0] = np.where(points[:, 0] < 1, 0.5, 1)
    with pytest.raises(kp.PruneError, match=r"different values of d for degree 3(.|\n)*three numbers"):
        MAP().fit(*points.T, product(points, rising_cubics(1)))
    MAP(degree=(1, 3, 3)).fit(*points.T, product(points, rising_cubics(1)))


@pytest.mark.thorough
def test_ridge_flattens():
    points = thirteen()
    accuracy = product(points, rising_cubics(4))
    ranges = [np.ptp(Polynomial(3, 1.0, ridge=a).fit(*points.T, accuracy).predict(*points.T)) for a in (0, 1e-2, 1e3)]
    assert ranges[0] > ranges[1] > ranges[2]
    ranges = [np.ptp(MAP(ridge=a).fit(*points.T, accuracy).predict(*points.T)) for a in (0, 1e-2, 1e1)]
    assert ranges[0] > ranges[1] > ranges[2]


@pytest.mark.parametrize(
    ("network", "points", "relative"),
    [(RESNET, 0.492, {3: 0.561, 5: 0.438}), (DENSENET, 0.454, {3: 0.487, 5: 0.494})],
)
def test_off_the_axes_of_the_published_table(network, points, relative):
    """Fitted on the 19 rows with one dimension below 1 at most, tested on the other 56."""
    rows = table5(network)
    where = np.stack([rows[name] for name in "dwr"], axis=1)
    axes = (where < 1).sum(axis=1) <= 1
    assert axes.sum() == 19

    def errors(surface):
        surface.fit(*where[axes].T, rows["accuracy"][axes])
        return np.abs(surface.predict(*where[~axes].T) - rows["accuracy"][~axes])

    low_rank = errors(MAP()).mean()
    assert low_rank <= 0.55
    assert low_rank == pytest.approx(points, abs=0.002)
    for degree in (1, 2, 3, 5):
        assert errors(Polynomial(degree)).mean() > low_rank
    for degree, percent in relative.items():
        found = 100 * (errors(Polynomial(degree, centre=1.0)) / rows["accuracy"][~axes]).mean()
        assert found == pytest.approx(percent, abs=0.002)


def test_the_table_has_its_repeated_cells():
    """The corrected planes: the row w = 1 of block (a) is the row of its depth in block (b)."""
    for network, depth, apart in ((RESNET, 0.55, 0.0), (DENSENET, 0.60, 0.2)):
        rows = table5(network)
        assert len(rows) == 75 and rows.dtype.names == ("d", "w", "r", "accuracy")
        first, second = rows[:25], rows[25:50]
        assert set(first["d"]) == {depth}
        a, b = first[first["w"] == 1], second[second["d"] == depth]
        np.testing.assert_array_equal(a["r"], b["r"])
        assert np.abs(a["accuracy"] - b["accuracy"]).max() == pytest.approx(apart, abs=1e-9)
    assert table5(RESNET)["accuracy"].sum() == pytest.approx(6727.94)
    assert table5(DENSENET)["accuracy"].sum() == pytest.approx(6790.85)


@pytest.mark.thorough
def test_intervals_cover_about_as_often_as_they_say():
    points = np.random.default_rng(0).uniform(0.5, 1, (60, 3))
    truth, at = product(points, rising_cubics(5)), np.array([0.7, 0.8, 0.9])
    value, hits = product(at, rising_cubics(5)), 0
    for seed in range(16):
        noisy = truth + np.random.default_rng(seed).normal(0, 0.3, 60)
        low, high = MAP(starts=1).fit(*points.T, noisy).interval(*at, level=0.8, draws=40)
        hits += low <= value <= high
    assert 8 <= hits <= 16  # 0.8 of 16 is 13; half of them would be a fault


def bad_fits():
    good = thirteen()
    accuracy = product(good, rising_cubics(0))
    nan = accuracy.copy()
    nan[3] = np.nan
    yield "constant", MAP(), (*good.T, np.full(13, 90.0)), "accuracies that differ"
    yield "NaN", MAP(), (*good.T, nan), "finite accuracies"
    yield "few points", MAP(degree=5), (*good.T, accuracy), "at least 16 points.*Received: 13"
    yield "few levels", MAP(degree=5), (*np.tile(good, (2, 1)).T, np.tile(accuracy, 2)), "6 different values of d"
    yield "lengths", MAP(), (*good.T, accuracy[:-1]), "one length"
    yield "range", MAP(), (2 * good[:, 0], *good.T[1:], accuracy), "d to hold fractions"
    yield "text", MAP(), (["a"], [1], ["b"], [1]), "d to hold numbers. Received: d=\\['a'\\](.|\n)*r=\\['b'\\]"
    yield "zero", Polynomial(), (good[:, 0], 0 * good[:, 1], good[:, 2], accuracy), "w to hold fractions"


@pytest.mark.parametrize(("surface", "data", "message"), [b[1:] for b in bad_fits()], ids=[b[0] for b in bad_fits()])
def test_bad_data_is_an_error(surface, data, message):
    with pytest.raises(kp.PruneError, match=message):
        surface.fit(*data)


def test_bad_arguments_are_an_error():
    for make in (
        lambda: MAP(rank=0),
        lambda: MAP(degree=0),
        lambda: MAP(degree=(3, 0, 3)),
        lambda: MAP(degree=(3, 3)),
        lambda: MAP(ridge=-1),
        lambda: MAP(seed=-1),
        lambda: Polynomial(1.5),
        lambda: Polynomial(centre="x"),
    ):
        with pytest.raises(kp.PruneError, match="Received"):
            make()
    surface = Polynomial(1).fit([1, 0.5], 2 * [1], 2 * [1], [90, 80])
    for arguments in ({"draws": 0}, {"level": "most"}, {"seed": -1}):
        with pytest.raises(kp.PruneError, match="Received"):
            surface.interval(1, 1, 1, **arguments)
    with pytest.raises(kp.PruneError, match="w to hold numbers. Received: w='wide'"):
        surface.predict(1, "wide", 1)
    with pytest.raises(kp.PruneError, match="Call fit"):
        MAP().predict(1, 1, 1)
    with pytest.raises(kp.PruneError, match="Did you mean 'resnet32'"):
        table5("resnet-32")


@pytest.mark.thorough
def test_a_ridge_takes_too_few_points():
    points = thirteen()
    accuracy = product(points, rising_cubics(0))
    surface = MAP(degree=5, ridge=1e-6).fit(*points.T, accuracy)
    assert np.abs(surface.residuals()).max() < 0.1


@pytest.mark.parametrize(("rank", "degree", "free"), [(1, 1, 4), (1, 3, 10), (2, 3, 20), (3, 2, 21)])
def test_numbers_of_free_parameters_are_those_of_the_products(rank, degree, free):
    """Each product has three polynomials of degree + 1 coefficients, two of whose scales go into the third."""
    assert MAP().free == 10  # rank 1, degree 3
    assert MAP(rank, degree).free == free == rank * (3 * (degree + 1) - 2)
