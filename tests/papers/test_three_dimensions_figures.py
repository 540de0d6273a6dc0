"""Figures of three dimensions, from points of a surface that is known."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from kerasprune.papers.three_dimensional import figures as figures
from kerasprune.recipes.reports.record import Record

EMPTY = Record(title="empty", recipe={}, summary={})


def points(noise: float = 0.0) -> dict:
    generator = np.random.default_rng(0)
    found = []
    for axis, least in enumerate((0.5, 0.5**0.5, 0.5**0.5)):
        for number in range(0 if axis == 0 else 1, 5):
            point = [1.0, 1.0, 1.0]
            point[axis] = 1 - number * (1 - least) / 4
            d, w, r = point
            accuracy = 0.9 * (1 - 0.05 * (1 - d)) * (1 - 0.4 * (1 - w) ** 2) * (1 - 0.5 * (1 - r) ** 3)
            found.append({"d": d, "w": w, "r": r, "accuracy": accuracy + noise * generator.normal()})
    return {
        "macs": 0.5,
        "surface": {"rank": 1, "degree": 3},
        "points": found,
        "optimum": [0.5, 1.0, 1.0],
        "importance": {"stage1_add": 0.1, "stage2_add": -0.02},
    }


def maps() -> dict:
    generator = np.random.default_rng(0)
    return {"images": generator.normal(size=(3, 8, 8, 3)), "dense": generator.random((3, 4, 4)),
            "chosen": generator.random((3, 2, 2))}  # fmt: skip


RECORD = Record(title="run", recipe={}, summary={}, section={"points": points(1e-3), "maps": maps()})
DRAWN = [figures.curves, figures.sheet, figures.residuals, figures.blocks, figures.settings, figures.maps]


@pytest.mark.thorough
@pytest.mark.parametrize("draw", DRAWN)
def test_draws_svg_that_repeats_byte_for_byte_and_nothing_without_points(draw):
    svg = draw(RECORD)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert draw(RECORD) == svg
    assert draw(EMPTY) is None


@pytest.mark.thorough
def test_the_surface_is_fitted_again_from_the_points():
    exact = points()
    surface = figures.fitted(exact)
    assert np.abs(surface.residuals()).max() < 1e-8
    assert figures.optimum(exact, 1, 3, 0.5) == pytest.approx(tuple(surface.optimum(0.5)))
    for rank, degree in ((1, 6), (3, 3)):  # too few points: the flattest
        d, w, r = figures.optimum(exact, rank, degree, 0.5)
        assert d * w**2 * r**2 == pytest.approx(0.5, abs=1e-6)
