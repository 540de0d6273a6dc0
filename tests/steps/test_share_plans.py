"""Plans by share: what is the same for all of them is computed once."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.planning.budgets.scaled_widths import ScaledWidths
from kerasprune.planning.budgets.trials import Trials
from kerasprune.steps.share_plans import SharePlans

DATA = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(24, "relu", name=name) for name in ("first", "second", "third")]
    return keras.Sequential([keras.Input((6,)), *hidden, layers.Dense(3)])


def widths(plan: kp.Plan) -> dict[str, int]:
    return {name: len(kept) for name, kept in plan.keep.items()}


def test_scaled_widths_pass_through_those_of_the_plan():
    graph = kp.trace(network())
    plan = kp.Plan({"first": range(6), "second": range(18), "third": range(24)})
    share = kp.cost(graph, plan).macs / kp.cost(graph).macs
    found = widths(kp.plan(graph, budget=ScaledWidths(plan), macs=share, round_to=1))
    assert all(abs(found[name] - width) <= 1 for name, width in (("first", 6), ("second", 18), ("third", 24)))
    fractions = [ScaledWidths(plan).fractions(graph, level) for level in (1.0, 0.7, 0.3, 0.01)]
    assert set(fractions[0].values()) == {1.0}
    for more, less in zip(fractions, fractions[1:], strict=False):
        assert all(less[name] < more[name] for name in less)
        assert less["first"] < less["second"] < less["third"]


@pytest.mark.parametrize("budget", ["uniform", "sensitivity"])
def test_scores_are_computed_once_and_widths_measured_once(budget, monkeypatch):
    measured, scored = [], []

    class Counted(kp.criteria.Criterion):
        def score(self, graph, data=None, loss=None, seed=0):
            scored.append(1)
            return {name: np.arange(group.size, dtype=float) for name, group in graph.prunable.items()}

    error = Trials.error
    monkeypatch.setattr(Trials, "error", lambda self, plan: (measured.append(1), error(self, plan))[1])
    how = {"criterion": Counted(), "budget": {"name": budget, **({"samples": 40} if budget == "sensitivity" else {})}}
    plans = SharePlans(kp.trace(network()), "macs", {**how, "data": DATA, "round_to": 1})
    first, share = plans.at(0.5)
    plans.follow(first)
    before = len(measured)
    second, other = plans.at(0.3)
    assert len(scored) == 1 and len(measured) == before and bool(before) == (budget == "sensitivity")
    assert share == pytest.approx(0.5, abs=0.05) and other == pytest.approx(0.3, abs=0.05)
    assert all(width <= widths(first)[name] for name, width in widths(second).items())
