"""Ridge regression towards given matrices, against the stacked least-squares problem solved by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from kerasprune.repair.reconstruction.least_squares import LeastSquares


@pytest.mark.parametrize("number", [40, 5])
@pytest.mark.parametrize("constant", [True, False])
def test_against_the_stacked_problem(number, constant):
    random = np.random.default_rng(0)
    rows, start = random.normal(1.0, 1.0, (number, 2, 8)), random.normal(size=(2, 8, 3))
    target = random.normal(2.0, 1.0, (number, 2, 3))
    matrices, offset = LeastSquares(rows, start, constant).solve(target, 0.05)
    for group in range(2):
        x = rows[:, group] - (rows[:, group].mean(axis=0) if constant else 0.0)
        root = np.sqrt(0.05 * (x**2).sum() / 8)
        held = np.block([root * np.eye(8), np.zeros((8, 1))])
        stacked = np.concatenate([np.column_stack([rows[:, group], np.full(number, float(constant))]), held])
        wanted = np.concatenate([target[:, group], root * start[group]])
        expected = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
        assert np.allclose(matrices[group], expected[:8]) and np.allclose(offset[group], expected[8])


def test_rows_that_are_all_alike_change_nothing():
    start = np.ones((1, 3, 2))
    matrices, offset = LeastSquares(np.ones((9, 1, 3)), start, True).solve(np.full((9, 1, 2), 5.0), 1e-3)
    assert np.array_equal(matrices, start) and np.allclose(offset, 2.0)


@pytest.mark.parametrize(("noise", "expected"), [(0.0, 1e-3), (30.0, 1.0)])
def test_the_ridge_is_chosen_on_rows_that_were_left_out(noise, expected):
    random = np.random.default_rng(0)
    rows, truth = random.normal(size=(60, 1, 20)), random.normal(size=(1, 20, 2))
    target = (rows[:, 0] @ truth[0])[:, None] + noise * random.normal(size=(60, 1, 2))
    problem = LeastSquares(rows[:48], np.zeros_like(truth), True)
    assert problem.steadiest(target[:48], (1e-3, 1e-2, 1e-1, 1.0), rows[48:], target[48:]) == expected
    errors = []
    for ridge in (1e-3, 1e-2, 1e-1, 1.0):  # each solved anew
        matrices, offset = LeastSquares(rows[:48], np.zeros_like(truth), True).solve(target[:48], ridge)
        errors.append(((rows[48:, 0] @ matrices[0] + offset[0] - target[48:, 0]) ** 2).sum())
    assert (1e-3, 1e-2, 1e-1, 1.0)[int(np.argmin(errors))] == expected


def test_slack_takes_the_strongest_ridge_within_it():
    random = np.random.default_rng(0)
    rows, truth = random.normal(size=(60, 1, 5)), random.normal(size=(1, 5, 2))
    target = (rows[:, 0] @ truth[0])[:, None] + 0.5 * random.normal(size=(60, 1, 2))
    ridges, errors = (1e-3, 1e-2, 1e-1, 1.0, np.inf), []
    problem = LeastSquares(rows[:48], np.zeros_like(truth), True)
    for ridge in ridges:
        matrices, offset = problem.solve(target[:48], ridge)
        errors.append(((rows[48:, 0] @ matrices[0] + offset[0] - target[48:, 0]) ** 2).sum())
    for slack in (0.0, 0.02, 0.3, 100.0):
        expected = max(ridge for ridge, error in zip(ridges, errors, strict=True) if error <= (1 + slack) * min(errors))
        assert problem.steadiest(target[:48], ridges, rows[48:], target[48:], slack) == expected
        matrices, _ = problem.solve(target[:48], expected)
        again, _ = LeastSquares(rows[:48], np.zeros_like(truth), True).solve(target[:48], expected)
        assert np.allclose(matrices, again)


@pytest.mark.parametrize("number", [40, 5])
def test_an_infinite_ridge_leaves_the_weights_and_meets_the_mean(number):
    random = np.random.default_rng(0)
    rows, start = random.normal(1.0, 1.0, (number, 2, 8)), random.normal(size=(2, 8, 3))
    target = random.normal(2.0, 1.0, (number, 2, 3))
    matrices, offset = LeastSquares(rows, start, True).solve(target, np.inf)
    assert np.array_equal(matrices, start)
    made = np.einsum("ngd,gdc->ngc", rows, matrices) + offset
    assert np.allclose(made.mean(axis=0), target.mean(axis=0))


def test_within_a_constraint_the_solution_is_that_of_non_negative_least_squares():
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 40)) + random.normal(size=(300, 1))
    target = rows @ random.normal(size=(40, 3)) + 0.1 * random.normal(size=(300, 3))
    within = LeastSquares(rows[:, None], np.zeros((1, 40, 3)), False, lambda matrices: np.maximum(matrices, 0))
    matrices, _ = within.solve(target[:, None], 1e-9)
    least = sum(nnls(rows, column)[1] ** 2 for column in target.T)
    assert matrices.min() >= 0 and np.square(rows @ matrices[0] - target).sum() < 1.001 * least


@pytest.mark.parametrize(("number", "groups"), [(40, 1), (40, 2), (5, 1)])
@pytest.mark.parametrize("constant", [True, False])
def test_fitted_rows_are_those_of_the_solution(number, groups, constant):
    random = np.random.default_rng(0)
    rows, start = random.normal(1.0, 1.0, (number, groups, 8)), random.normal(size=(groups, 8, 3))
    problem = LeastSquares(rows, start, constant)
    matrices, offset = problem.solve(random.normal(2.0, 1.0, (number, groups, 3)), 0.05)
    expected = np.einsum("ngd,gdc->ngc", rows, matrices) + offset
    assert np.allclose(problem.fitted(matrices, offset), expected)
