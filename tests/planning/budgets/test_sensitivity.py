"""Channels moved to where they are worth more: against brute force over all widths, and closed forms of one step."""

from __future__ import annotations

import itertools
import math
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.planning.budgets import sensitivity
from kerasprune.planning.budgets.measured import WidthSpace
from kerasprune.planning.budgets.sensitivity import Sensitivity, exchanged, stepped, worth_of
from kerasprune.planning.budgets.trials import Trials


class _Chain:
    """A chain of layers whose errors compound, with costs and worths drawn at random."""

    def __init__(self, seed: int, sizes: tuple[int, ...] = (12, 10, 14)) -> None:
        random = np.random.default_rng(seed)
        self.sizes = {f"g{number}": size for number, size in enumerate(sizes)}
        self.harm, self.positions = np.exp(random.normal(size=(2, len(sizes) + 1)))
        self.asked = 0

    def cost(self, widths) -> float:
        wide = [3, *widths.values(), 4]
        return sum(p * a * b for p, a, b in zip(self.positions, wide, wide[1:], strict=False))

    def error(self, widths) -> float:
        self.asked += 1
        lost = [(self.sizes[name] / width) ** 1.5 - 1 for name, width in widths.items()]
        return math.prod(1 + harm * each / 12 for harm, each in zip(self.harm, lost, strict=False)) - 1

    def space(self, start) -> WidthSpace:
        rungs = {name: np.arange(1, size + 1) for name, size in self.sizes.items()}
        return WidthSpace(rungs, self.cost, self.cost(start), self.error)

    def uniform(self, keep: float):
        return {name: max(1, int(keep * size)) for name, size in self.sizes.items()}

    def brute_force(self, limit: float) -> float:
        rungs = (range(1, size + 1) for size in self.sizes.values())
        every = (dict(zip(self.sizes, widths, strict=True)) for widths in itertools.product(*rungs))
        return min(self.error(widths) for widths in every if self.cost(widths) <= limit)


@pytest.mark.parametrize("seed", range(6))
def test_nearly_as_good_as_every_choice_of_widths(seed):
    chain = _Chain(seed)
    start = chain.uniform(0.4)
    found = Sensitivity(measurements=60).improved(start, chain.space(start))
    assert chain.asked <= 60 and chain.cost(found) <= chain.cost(start)
    best, uniform = chain.brute_force(chain.cost(start)), chain.error(start)
    assert chain.error(found) - best <= 0.005 * best + 0.02 * (uniform - best)


def test_what_measures_worse_is_not_taken():
    chain = _Chain(0)
    start = chain.uniform(0.5)
    space = chain.space(start)
    noise = WidthSpace(space.rungs, space.cost, space.limit, lambda widths: 1.0 - (widths == start))
    assert Sensitivity().improved(start, noise) == start


def test_a_step_makes_the_square_roots_of_the_worths():
    """Two groups of like cost, of which a channel of one is worth four times as much: twice as wide, in one step."""
    rungs = {name: np.arange(1, 10_001) for name in ("a", "b")}
    space = WidthSpace(rungs, lambda widths: widths["a"] + widths["b"], 3000, lambda widths: 0.0)
    found = stepped({"a": 1500, "b": 1500}, {"a": 4.0, "b": 1.0}, 2.0, space)
    assert found["a"] / found["b"] == pytest.approx(2.0, rel=2e-3) and 2999 <= sum(found.values()) <= 3000
    short = stepped({"a": 1500, "b": 1500}, {"a": 4.0, "b": 1.0}, 0.1, space)
    assert max(short["a"] / 1500, 1500 / short["b"]) == pytest.approx(math.exp(0.1), rel=2e-3)


def test_worth_is_the_slope_of_the_error_over_that_of_the_cost():
    chain = _Chain(3, (4000, 3000, 5000))
    widths = chain.uniform(0.5)
    found = worth_of(widths, chain.error(widths), 1e-3, chain.space(widths))
    for name, worth in found.items():
        fewer = {**widths, name: widths[name] - 1}
        slope = (chain.error(fewer) - chain.error(widths)) / (chain.cost(widths) - chain.cost(fewer))
        assert worth == pytest.approx(max(slope, 0.02 * max(found.values())), rel=0.01)


def test_pairs_are_exchanged_in_the_order_of_what_they_promise(monkeypatch):
    """The group that loses least per unit of cost gives to the one that gains most, first."""
    asked = []
    monkeypatch.setattr(sensitivity, "exchanged", lambda widths, giver, taker, *_: asked.append((giver, taker)))
    chain = _Chain(0)
    start = chain.uniform(0.5)
    search = sensitivity._SensitivitySearch(chain.space(start), start, 60, 0.5)
    assert not search.exchange({"g0": 2.0, "g1": 8.0, "g2": 1.0})
    assert asked[:3] == [("g2", "g1"), ("g0", "g1"), ("g2", "g0")]


def test_an_exchange_keeps_to_the_limit_or_is_none():
    space = WidthSpace({"a": np.array([1, 2, 3]), "b": np.array([4, 8, 12])}, lambda w: 5 * w["a"] + w["b"], 14, min)
    assert exchanged({"a": 1, "b": 8}, "b", "a", {}, space) == {"a": 2, "b": 4}
    assert exchanged({"a": 2, "b": 4}, "b", "a", {}, space) is None


@pytest.fixture(scope="module")
def lopsided():
    """A net whose first layer says all with three of its eight channels, and examples."""
    keras.utils.set_random_seed(1)
    dense = layers.Dense
    wide = [dense(8, "relu", name="wide"), dense(6, "relu", name="needed"), dense(6, "tanh", name="last")]
    model = keras.Sequential([keras.Input((5,)), *wide, dense(4, name="out")])
    kernel, bias = model.get_layer("wide").get_weights()
    kernel[:, 3:] *= 0.01
    model.get_layer("wide").set_weights([kernel, bias])
    return model, np.random.default_rng(0).normal(size=(160, 5)).astype("float32")


@pytest.mark.thorough
def test_a_plan_is_nearly_as_good_as_every_plan_of_its_cost(lopsided):
    model, data = lopsided
    budget = {"name": "sensitivity", "samples": 160}
    plan, uniform = kp.plan(model, budget=budget, macs=0.45, data=data), kp.plan(model, macs=0.45)
    limit = kp.cost(model, uniform).macs
    assert kp.cost(model, plan).macs <= max(limit, 0.45 * kp.cost(model).macs)
    assert len(plan.keep["wide"]) < len(plan.keep["needed"])
    graph = kp.trace(model)
    scores = kp.criteria.score(kp.criteria.get("l1"), graph)
    trials = Trials(graph, data, samples=160, positions=4000)
    costs, errors = {}, {}
    for widths in itertools.product(*(range(2, group.size + 1) for group in graph.prunable.values())):
        keep = {name: kp.budgets.top(scores[name], k) for name, k in zip(graph.prunable, widths, strict=True)}
        costs[widths] = kp.cost(graph, kp.Plan.of(graph, keep)).macs
        wider = [tuple(k + (i == j) for j, k in enumerate(widths)) for i in range(3)]
        errors[widths] = kp.Plan.of(graph, keep), wider
    dearest = [w for w, c in costs.items() if c <= limit and not any(costs.get(x, 1e9) <= limit for x in errors[w][1])]
    best = min(trials.error(errors[widths][0]) for widths in dearest)
    assert trials.error(plan) <= 1.005 * best < trials.error(uniform)


def test_channels_may_be_what_is_counted(lopsided):
    model, data = lopsided
    budget = Sensitivity(samples=80, measurements=12)
    plan = kp.plan(model, budget=budget, keep=0.5, data=data, round_to=2)
    uniform = kp.plan(model, keep=0.5, round_to=2)
    assert sum(map(len, plan.keep.values())) <= sum(map(len, uniform.keep.values()))
    assert all(len(kept) % 2 == 0 for kept in plan.keep.values())


def test_what_is_lacking_is_said(lopsided):
    model, data = lopsided
    with pytest.raises(kp.PruneError, match="data=None"):
        kp.plan(model, budget="sensitivity", macs=0.5)
    with pytest.raises(kp.PruneError, match="at least four examples"):
        kp.plan(model, budget="sensitivity", macs=0.5, data=data[:3])
    with pytest.raises(kp.PruneError, match=r"samples=1.*\n.*step=2.*\n.*reach=0"):
        Sensitivity(samples=1, step=2, reach=0)
    with pytest.warns(UserWarning, match="No widths measured better"), warnings.catch_warnings():
        kp.plan(model, budget={"name": "sensitivity", "samples": 20, "measurements": 1}, macs=0.5, data=data)
