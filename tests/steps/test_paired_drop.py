"""The drop of a figure and its standard error, against NumPy and against samples drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from kerasprune.steps.paired_drop import MeanTally, SumsTally, paired_drop, standard_error

GENERATOR = np.random.default_rng(0)
DENSE = GENERATOR.random(800) < 0.9
SLIM = np.where(GENERATOR.random(800) < 0.1, GENERATOR.random(800) < 0.7, DENSE)


def mean(values, weights=None):
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else weights
    return MeanTally(values * weights, weights)


def as_sums(one):
    """The same mean as a figure of sums."""
    return SumsTally(np.stack([one.values, one.weights], axis=1), lambda total: total[0] / total[1])


def test_the_error_of_a_mean_is_that_of_the_differences():
    drop = paired_drop(mean(DENSE), mean(SLIM), higher=True)
    differences = DENSE.astype(float) - SLIM
    assert drop.value == pytest.approx(differences.mean())
    assert drop.error == pytest.approx(differences.std(ddof=1) / np.sqrt(800))
    unpaired = np.hypot(standard_error(mean(DENSE)), standard_error(mean(SLIM)))
    assert drop.error < 0.8 * unpaired


def test_less_of_an_error_is_better():
    assert paired_drop(mean([1.0, 3.0]), mean([2.0, 4.0]), higher=False).value == 1.0
    assert paired_drop(mean([1.0, 3.0]), mean([2.0, 4.0]), higher=False, relative=True).value == 0.5


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_both_ways_give_the_error_of_samples_drawn_anew(relative, grouped, weighted):
    weights = GENERATOR.uniform(0.5, 2, 800) if weighted else None
    groups = np.repeat(np.arange(100), 8) if grouped else None
    both = np.repeat(GENERATOR.normal(size=100), 8) if grouped else 0.0  # what the examples of a group share
    dense = mean(5 + GENERATOR.normal(size=800), weights)
    slim = mean(dense.values / dense.weights + 0.2 + 0.5 * both + 0.1 * GENERATOR.normal(size=800), weights)
    how = {"higher": False, "relative": relative, "groups": groups}
    exact, drawn = paired_drop(dense, slim, **how), paired_drop(as_sums(dense), as_sums(slim), **how)
    brute = []
    for _ in range(2000):
        chosen = GENERATOR.integers(0, 100 if grouped else 800, 100 if grouped else 800)
        rows = (chosen[:, None] * 8 + np.arange(8)).ravel() if grouped else chosen
        one, other = (each.values[rows].sum() / each.weights[rows].sum() for each in (dense, slim))
        brute.append((other - one) / (one if relative else 1))
    assert exact.value == pytest.approx(drawn.value)
    assert exact.error == pytest.approx(np.std(brute), rel=0.08)
    assert drawn.error == pytest.approx(np.std(brute), rel=0.2)


def test_a_bound_covers_the_drop_as_often_as_it_says():
    covered = []
    for _ in range(400):
        dense, slim = (GENERATOR.random((2, 400)) < [[0.9], [0.88]]).astype(float)
        covered.append(paired_drop(mean(dense), mean(slim), higher=True).bound(0.84) >= 0.02)
    assert np.mean(covered) == pytest.approx(0.84, abs=0.06)
