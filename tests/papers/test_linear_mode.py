"""Linear mode connectivity: verdicts from figures that are given, one W_k for all, and a run as short as can be."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune.papers.lottery_tickets import linear_mode, testbed
from kerasprune.papers.lottery_tickets.linear_mode import LinearModeSetting
from kerasprune.recipes.reproductions.entry import Note

UNSTABLE, STABLE, OPEN = (0.1, 0.12, 0.14), (0.0, 0.01, 0.0), (0.0, 0.02, 0.05)


def given(network: str, keep: float, k: int, instability: tuple[float, ...], error: float) -> list[dict]:
    return [
        {"network": network, "keep": str(keep), "k": str(k), "seed": str(seed), "instability": each, "barrier": 0.1}
        | {"error_a": error + seed / 1000, "error_b": error + seed / 1000}
        for seed, each in enumerate(instability)
    ]


def grid(dense, tickets, random) -> list[dict]:
    return [
        row
        for network, keep, (begin, later), errors in (
            ("dense", 1.0, dense, (0.02, 0.02)),
            ("IMP", 0.1, tickets, (0.04, 0.0205)),
            ("random", 0.1, random, (0.04, 0.04)),
        )
        for k, instability, error in ((0, begin, errors[0]), (4, later, errors[1]))
        for row in given(network, keep, k, instability, error)
    ]


def test_verdicts_follow_the_figures():
    found = linear_mode.judged(grid((UNSTABLE, STABLE), (UNSTABLE, STABLE), (UNSTABLE, UNSTABLE)))
    assert [row.cells[-1] for row in found] == ["agrees", "agrees", "noted", "agrees", "agrees", "agrees"]
    assert found[2].ours == "k=4" and found[2].paper == "dense 2.20 % at most"  # mean 2.1, deviation 0.1
    assert found[0].cells[:2] == ("dense, k=0, above 2 points", "higher") and found[0].ours == pytest.approx(10)
    assert found[-1].what == "random 10%, k=4 less IMP" and found[-1].ours == pytest.approx(12 - 1 / 3)
    turned = linear_mode.judged(grid((STABLE, UNSTABLE), (STABLE, UNSTABLE), (STABLE, STABLE)))
    assert [row.cells[-1] for row in turned] == ["differs", "differs", "noted", "differs", "differs", "differs"]
    open_ = linear_mode.judged(grid((OPEN, OPEN), (OPEN, OPEN), (OPEN, OPEN)))
    assert [row.cells[-1] for row in open_] == ["cannot tell"] * 2 + ["noted"] + ["cannot tell"] * 3


def test_tickets_that_never_match_are_not_judged():
    rows = grid((STABLE, STABLE), (STABLE, STABLE), (STABLE, STABLE))
    worse = [row | {"error_a": 0.5} if row["network"] == "IMP" else row for row in rows]
    found = linear_mode.judged(worse)[2:]
    assert [row.what for row in found] == [
        "IMP 10% matches from",
        "random 10%, k=4, above 2 points",
        "random 10%, k=4 less IMP",
    ]
    assert (found[0].ours, found[0].cells[-1]) == ("no k", "cannot tell")


def test_means_and_standard_errors():
    (network, k, figures, seeds), *_ = linear_mode.means(given("dense", 1.0, 4, (0.01, 0.02, 0.06), 0.02))
    assert (network, k, seeds) == (("dense", 1.0), 4, 3)
    assert figures["instability"] == pytest.approx((3.0, np.std([1, 2, 6], ddof=1) / 3**0.5))
    assert figures["barrier"] == pytest.approx((0.1, 0.0), abs=1e-12)


class Small(testbed.DigitsTestbed):
    """A testbed of one dense layer."""

    def network(self, seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])


class Recorder(Small):
    """A testbed that notes what it is asked to train, and adds the number of epochs to all weights."""

    def fit(self, model, seed, masks=None, *, initial_epoch=0, until=None, **others):
        calls.append((initial_epoch, until, float(model.weights[0][0, 0])))
        model.compile("sgd", testbed.cross_entropy())
        kernel = model.weights[0]
        kernel.assign(kernel + (until - initial_epoch))


calls: list[tuple] = []


def test_every_training_of_a_cell_is_a_part_of_one_schedule_from_one_place():
    """To k once; then all from W_k, with its masks, to the end: 2 dense, 1 + 2 rounds, 2 tickets, 2 random."""
    calls.clear()
    setting = LinearModeSetting(Recorder(epochs=5), keep=(0.5, 0.25), measured=(0.25,), points=2)
    rows = list(setting.rows(seed=1, k=2))
    assert [(row["network"], row["keep"], row["k"], row["seed"]) for row in rows] == [
        ("dense", 1.0, 2, 1),
        ("IMP", 0.25, 2, 1),
        ("random", 0.25, 2, 1),
    ]
    assert [call[:2] for call in calls] == [(0, 2)] + [(2, 5)] * 9
    first = calls[0][2]
    assert all(begun in (pytest.approx(first + 2), 0.0) for *_, begun in calls[1:])
    calls.clear()
    left = list(setting.rows(seed=1, k=2, done={("IMP", 0.25), ("random", 0.25)}))
    assert left == rows[:1] and len(calls) == 3


@pytest.mark.jax
@pytest.mark.thorough
def test_a_short_run():
    setting = LinearModeSetting(Small(epochs=2), (0, 1), (0.3,), (0.3,), (0, 1), 3)
    rows = linear_mode.linear_mode(setting)
    assert [isinstance(row, Note) for row in rows[:6]] == [True] * 6
    assert np.isfinite([row.ours for row in rows if not isinstance(row, Note)]).all()
