"""SynExp's invariance: masks drawn layer by layer obey it, layers that are cropped together do not."""

from __future__ import annotations

from math import pi, sqrt

import pytest

import kerasprune as kp

WIDTHS, DENSITIES = [6, 8, 8, 4], [0.5, 0.25, 0.5]


@pytest.mark.parametrize("granularity", ["weight", "filter", "channel"])
def test_independent_masks_obey_the_theorem(granularity):
    trial = kp.papers.synexp.synexp_trial(WIDTHS, DENSITIES, granularity, samples=2000)
    magnitude = sqrt(2 / pi)
    assert trial.expected == pytest.approx(3 * 4 * 0.5 * 6 * 0.25 * 8 * 0.5 * 8 * magnitude**3)
    assert abs(trial.deviation) < 3 and trial.standard_error < 0.02 * trial.mean


def test_cropped_layers_do_not():
    """Their mean has another closed form: what is left of every layer is a whole, narrower network."""
    trial = kp.papers.synexp.synexp_trial(WIDTHS, [0.25, 0.25, 0.25], "cropped", samples=2000)
    real = 3 * 6 * 4 * 4 * 4 * sqrt(2 / pi) ** 3
    assert abs(trial.mean - real) < 3 * trial.standard_error
    assert trial.deviation > 50


def test_bad_arguments_are_gathered():
    with pytest.raises(kp.PruneError, match=r"(?s)granularity='filters'.*samples=1.*densities\[0\]=2.*3 and 3"):
        kp.papers.synexp.synexp_trial([1, 2, 3], [2, 1, 1], "filters", samples=1)
