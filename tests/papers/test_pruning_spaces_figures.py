"""Figures of pruning spaces draw what there is; their curves are those of the points."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from kerasprune.papers.pruning_spaces import figures as pruning_spaces
from kerasprune.papers.pruning_spaces.figures import SpaceCandidate


def population(regimes=(0.25, 0.1, 0.05)) -> list[SpaceCandidate]:
    """Candidates whose drop is 1 + 2·mcb², and whose mean computation budget is 0.9 + 0.01 / macs."""
    random, candidates = np.random.default_rng(0), []
    for fraction in regimes:
        for space in ("STD-0.1", "STD-0.01", "uniform"):
            for _ in range(1 if space == "uniform" else 5):
                macs = fraction + random.uniform(-0.002, 0.002)
                mcb = 0.9 + 0.01 / macs
                keep = tuple(random.uniform(0.2, 1, 4))
                measures = (macs, macs / mcb, mcb, float(np.std(keep)), 1 + 2 * mcb**2)
                candidates.append(SpaceCandidate(f"macs {fraction}", space, *measures, keep))
    return candidates


def test_figures_are_drawn_and_repeat():
    candidates = population()

    def uniform(kept):
        return [1.0] * len(kept)

    few = [one for one in candidates if one.regime == "macs 0.1"]
    for svg in (
        pruning_spaces.distributions(few),
        pruning_spaces.winning(few, 4),
        pruning_spaces.budgets(candidates, uniform, 4),
    ):
        assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert pruning_spaces.winning(few, 4) == pruning_spaces.winning(few, 4)


def test_one_regime_is_drawn_without_curves():
    candidates = population((0.25,))
    assert pruning_spaces.limits(candidates) is None
    assert pruning_spaces.optima(candidates) is None
    assert "fitted" not in pruning_spaces.budgets(candidates, lambda kept: np.ones(len(kept)))


def test_the_best_are_those_that_lose_least_and_never_the_baseline():
    candidates = population()
    candidates[5] = replace(candidates[5], drop=-3.0)
    chosen = pruning_spaces.best(candidates, "macs 0.25", 3)
    rest = [one for one in candidates if one.regime == "macs 0.25" and one.space != "uniform" and one not in chosen]
    assert len(chosen) == 3
    assert chosen[0] is candidates[5]
    assert max(one.drop for one in chosen) <= min(one.drop for one in rest)
    candidates.append(replace(candidates[0], space="uniform", drop=-9.0))
    assert pruning_spaces.best(candidates, "macs 0.25", 3) == chosen


def test_curves_are_those_of_the_points():
    candidates = population()
    assert pruning_spaces.limits(candidates)(1.05) == pytest.approx(1 + 2 * 1.05**2, abs=0.01)
    assert pruning_spaces.optima(candidates)(0.1) == pytest.approx(1.0, abs=0.005)


def test_regimes_stand_in_order():
    candidates = [replace(population()[0], regime=name) for name in ("params 0.1", "macs 0.05", "macs 0.5")]
    assert pruning_spaces.regimes_of(candidates) == ["macs 0.5", "macs 0.05", "params 0.1"]
