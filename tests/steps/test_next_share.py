"""Searches for the smallest allowed model, simulated: trainings and measurements err, and the best epoch is taken."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from kerasprune.steps.next_share import Trial, drop_to_expect, next_share, smallest_allowed

ALLOWED, MOST, LEAST = 1.0, 6, 0.02  # points, trainings, share
EPOCHS = np.array([0.7, 0.3, 0.12, 0.0])  # points that each of four epochs still lacks
TRAINING = 0.1  # deviation of a training and of each of its epochs, in points


class Found(NamedTuple):
    """The result of a search: trainings, cost ÷ that of the best allowed, and points beyond what is allowed."""

    trainings: int
    cost: float
    beyond: float


def _search(generator: np.random.Generator, error: float, correlation: float) -> Found:
    """Searches on a curve `a (c^−p − 1) + b (1 − c)` of the drop over the share c of the cost.

    Args:
        generator: Draws the curve and all errors.
        error: Standard error of a measurement, in points.
        correlation: That of the errors of two trials, which are judged on the same examples.
    """
    scale, power = np.exp(generator.uniform(np.log(0.05), np.log(2))), generator.uniform(0.7, 2.5)
    offset, common = generator.uniform(-0.3, 0.2), generator.normal()

    def drop(share: float) -> float:
        return scale * (share**-power - 1) + offset * (1 - share)

    shares = np.exp(np.linspace(np.log(LEAST), 0, 4000))
    best = shares[np.flatnonzero([drop(share) > ALLOWED for share in shares]).max(initial=-1) + 1]
    first = float(np.clip(best * np.exp(generator.normal(0, 0.4)), 0.05, 0.9))  # what a first look guesses
    trials, whole, true = [], [], {}
    while (share := next_share(trials, ALLOWED, first=first, least=LEAST, most=MOST)) is not None:
        drops = drop(share) + EPOCHS + TRAINING * (generator.normal() + generator.normal(size=len(EPOCHS)))
        own = np.sqrt(0.5) * (generator.normal() + generator.normal(size=len(EPOCHS)))
        seen = drops + error * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
        if drop_to_expect(seen[0], whole) > ALLOWED + 3 * error:
            trials.append(Trial(share, seen[0] + error, stopped=True))
            continue
        whole.append((seen[0], seen.min()))
        trials.append(Trial(share, seen.min() + error))
        true[share] = drops[seen.argmin()]
    found = smallest_allowed(trials, ALLOWED)
    if found is None:
        return Found(len(trials), 1 / best, -ALLOWED)
    return Found(len(trials), found.share / best, true[found.share] - ALLOWED)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize(("error", "cost"), [(0.25, 1.25), (0.5, 1.45)])
def test_two_thousand_searches_seldom_go_too_far_and_come_close(error, cost, correlation):
    generator = np.random.default_rng(0)
    found = [_search(generator, error, correlation) for _ in range(2000)]
    beyond = np.array([each.beyond for each in found])
    assert (beyond > 0).mean() <= 0.16 and (beyond > 2 * error).mean() <= 0.003
    assert np.median([each.cost for each in found]) <= cost
    assert np.median([each.trainings for each in found]) <= 4


def test_a_search_ends_where_nothing_is_left_to_try():
    assert next_share([], 1.0, first=0.01, least=0.1, most=6) == 0.1
    assert next_share([Trial(0.1, 0.0)], 1.0, first=0.5, least=0.1, most=6) is None
    assert next_share([Trial(0.5, 0.0)] * 6, 1.0, first=0.5, least=0.1, most=6) is None
    assert smallest_allowed([Trial(0.5, 2.0)], 1.0) is None


def test_a_refused_share_above_an_allowed_one_does_not_count():
    trials = [Trial(0.5, 1.2), Trial(0.4, 0.8)]
    assert next_share(trials, 1.0, first=0.5, least=0.01, most=6) < 0.4 and smallest_allowed(trials, 1.0).share == 0.4
