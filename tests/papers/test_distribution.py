"""The distribution of a population, and the curve through the winners."""

from __future__ import annotations

import numpy as np
import pytest

import kerasprune as kp
from kerasprune.papers.pruning_spaces import power_law


def test_edf_counts_what_lies_below():
    values = np.random.default_rng(0).integers(0, 9, 60) / 4
    drops = kp.papers.spaces.edf(values)
    for threshold in np.arange(-1, 12) / 4:
        assert drops(threshold) == sum(1 for value in values if value < threshold) / 60


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], ["a"], None])
def test_what_has_no_distribution_is_refused(values):
    with pytest.raises(kp.PruneError, match="Received"):
        kp.papers.spaces.edf(values)


@pytest.mark.parametrize("exponent", [-3.0, -0.7, 0.5, 2.0])
def test_a_power_law_is_found_from_its_points(exponent):
    x = np.geomspace(0.2, 2, 8)
    curve = power_law(x, 0.3 - 1.7 * x**exponent)
    assert (curve.offset, curve.scale, curve.exponent) == pytest.approx((0.3, -1.7, exponent), rel=1e-2)
    assert curve.explained == pytest.approx(1, abs=1e-6)
    assert curve(0.5) == pytest.approx(0.3 - 1.7 * 0.5**exponent, rel=1e-3)


def test_too_few_points_have_no_curve():
    with pytest.raises(kp.PruneError, match=r"(?s)as many x as y.*x > 0"):
        power_law([1, 0], [1])
    with pytest.raises(kp.PruneError, match="three different x"):
        power_law([1, 1, 2], [1, 2, 3])
