"""Evolution against brute force on knapsacks; and its promises: limits held, nothing twice, the same by seed."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import kerasprune as kp
from kerasprune.recipes.search import Evolution, Limit

ITEMS = 12
CHOICES = [3] * ITEMS  # none, one or two of each


def knapsack(seed: int):
    """Returns the worth of candidates, the limit of their weight, and the best worth there is, by brute force."""
    generator = np.random.default_rng(seed)
    worth, weight = generator.integers(1, 100, (2, ITEMS))
    most = weight.sum()  # half of all
    every = np.array(list(itertools.product(range(3), repeat=ITEMS)))
    best = (every @ worth)[every @ weight <= most].max()
    return worth, Limit("weight", lambda genes: genes @ weight, highest=most), best


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_a_knapsack(seed):
    worth, limit, best = knapsack(seed)
    asked = []

    def judge(candidates):
        asked.extend(candidates)
        return [float(np.dot(genes, worth)) for genes in candidates]

    found = Evolution(generations=60, mutation=0.15).run(judge, CHOICES, limits=[limit], seed=seed)
    assert found.score == np.dot(found.best, worth) >= 0.99 * best
    assert found.score == max(one.score for one in found.candidates)
    assert len(set(asked)) == len(asked) == len(found.candidates) < 0.01 * 3**ITEMS
    assert limit.met(np.array(asked)).all()
    random = [one.score for one in found.candidates if one.generation == 0]
    assert max(random) < 0.97 * best  # it is the evolution that finds it


def test_the_same_seed_finds_the_same_and_a_killed_search_asks_nothing_twice():
    worth, limit, _ = knapsack(0)
    store, asked = {}, []

    def judge(candidates, most=np.inf):
        for genes in candidates:
            if genes not in store:
                if len(asked) >= most:
                    raise KeyboardInterrupt
                asked.append(genes)
                store[genes] = float(np.dot(genes, worth))
        return [store[genes] for genes in candidates]

    def whole(candidates):
        return [float(np.dot(genes, worth)) for genes in candidates]

    evolution = Evolution(population=10, parents=4, mutations=5, crossovers=5, generations=6)
    with pytest.raises(KeyboardInterrupt):
        evolution.run(lambda candidates: judge(candidates, 27), CHOICES, limits=[limit], seed=5)
    resumed = evolution.run(judge, CHOICES, limits=[limit], seed=5)
    assert resumed == evolution.run(whole, CHOICES, limits=[limit], seed=5)
    assert len(asked) == len(set(asked)) == len(resumed.candidates)
    assert resumed.candidates[0] != evolution.run(whole, CHOICES, limits=[limit], seed=6).candidates[0]


def test_children_come_from_the_best_and_what_is_given_comes_first():
    asked = []

    def judge(candidates):
        asked.append(list(candidates))
        return [float(sum(genes)) for genes in candidates]

    evolution = Evolution(population=6, parents=2, mutations=3, crossovers=3, generations=2, mutation=0.2)
    found = evolution.run(judge, [9] * 8, given=[[8] * 8, [7] * 8], seed=1)
    assert asked[0][:2] == [(8,) * 8, (7,) * 8]
    origins = [one.origin for one in found.candidates]
    assert origins == ["given"] * 2 + ["random"] * 4 + ["mutation"] * 3 + ["crossover"] * 3
    for one in found.candidates[6:9]:
        assert min(sum(g != p for g in one.genes) for p in (8, 7)) < 8  # some genes are a parent's
    for one in found.candidates[9:]:
        assert set(one.genes) == {8, 7}


def test_it_ends_when_all_there_are_were_judged():
    with pytest.warns(UserWarning, match="6 candidates instead of 50.* Pass more choices"):
        found = Evolution(tries=500).run(lambda candidates: [0.0] * len(candidates), [2, 3])
    assert sorted(one.genes for one in found.candidates) == list(itertools.product(range(2), range(3)))


def test_candidates_without_a_score_come_last():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Evolution(tries=100).run(lambda c: [None if g[0] else g[1] for g in c], [2, 4])
        assert found.best == (0, 3) and found.score == 3
        with pytest.raises(kp.PruneError, match="none for any of 8"):
            Evolution(tries=100).run(lambda c: [float("nan")] * len(c), [2, 4])


def test_what_does_not_fit_is_said():
    def judge(candidates):
        return [0.0] * len(candidates)

    tight = Limit("macs", lambda genes: genes.sum(axis=1), lowest=40, highest=41)
    with pytest.raises(kp.PruneError, match=r"macs from \d+ to \d+; requested: 40 to 41. Widen the limits \(Limit\)"):
        Evolution(tries=300).run(judge, [5] * 8, limits=[tight])
    with pytest.raises(kp.PruneError, match="outside that of macs"):
        Evolution().run(judge, [5] * 8, limits=[tight], given=[[0] * 8])
    with pytest.raises(kp.PruneError, match=r"Received: \[0, 5\]"):
        Evolution().run(judge, [5, 5], given=[[0, 5]])
    with pytest.raises(kp.PruneError, match="population=0(.|\n)*mutation=0"):
        Evolution(population=0, mutation=0)
    with pytest.raises(kp.PruneError, match="choices="):
        Evolution().run(judge, [0, 2])
    with pytest.raises(kp.PruneError, match="1 scores"):
        Evolution().run(lambda candidates: [1.0], [50, 50])
    with pytest.raises(kp.PruneError, match="draw"):
        Evolution().run(judge, [2, 2], draw=lambda generator, number: np.full((number, 2), 2))


def test_a_mutated_gene_takes_another_choice():
    evolution = Evolution(population=1, parents=1, mutations=1, crossovers=0, generations=2, mutation=1.0)
    found = evolution.run(lambda candidates: [0.0] * len(candidates), [2, 2, 2, 1], given=[[0, 1, 0, 0]])
    assert [each.genes for each in found.candidates] == [(0, 1, 0, 0), (1, 0, 1, 0)]
