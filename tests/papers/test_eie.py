"""EIE's arithmetic against brute force, and its entry."""

from __future__ import annotations

import numpy as np
import pytest

from kerasprune.export.codec.gaps import Gaps
from kerasprune.papers.eie.columns import Columns
from kerasprune.papers.eie.eie_figures import faster_sparse
from kerasprune.recipes.reproductions import entry as entries


@pytest.mark.parametrize("density", [0, 0.02, 0.3, 1])
def test_entries_are_weights_and_fillers_of_each_column(density):
    kept = np.random.default_rng(0).random((801, 20)) < density
    found = Columns.of(kept, 3)
    for column in range(20):
        for element in range(3):
            places = np.flatnonzero(kept[element::3, column])
            assert found.weights[column, element] == places.size
            assert found.entries[column, element] == Gaps(4, True).symbols(places)[0].size


def by_clock(entries, queue):
    """Returns the cycles of a product, cycle by cycle: what waits, what is worked on, what is sent."""
    elements = entries.shape[1]
    waiting, sent, time = [[] for _ in range(elements)], 0, 0
    while sent < len(entries) or any(waiting):
        if sent < len(entries) and all(len(each) < queue for each in waiting):
            for element, each in enumerate(waiting):
                if entries[sent, element]:
                    each.append(entries[sent, element])
            sent += 1
        for each in waiting:
            if each:
                each[0] -= 1
                if not each[0]:
                    each.pop(0)
        time += 1
    return time


@pytest.mark.parametrize("queue", [1, 2, 8, 1000])
def test_cycles_are_those_of_a_clock(queue):
    draw = np.random.default_rng(queue)
    entries = draw.integers(1, 6, (60, 4))
    active = draw.random(60) < 0.5
    assert Columns(entries, entries).cycles(active, queue) == by_clock(entries[active].copy(), queue)


def test_no_cycles_without_activations_and_as_many_as_entries_of_one_element():
    entries = np.arange(1, 6)[:, None]
    columns = Columns(entries, entries)
    assert columns.cycles(np.zeros(5, bool), 8) == 0
    assert columns.cycles(np.ones(5, bool), 1) == columns.cycles(np.ones(5, bool), 8) == 15


@pytest.mark.thorough
def test_the_entry_agrees_with_the_abstract():
    outcome = entries.reproduce("eie")
    assert outcome.verdict == "agrees", [row.cells for row in outcome.rows]
    ours = [float(row.ours.replace(",", "")) for row in outcome.rows if row.what.startswith("frames")]
    assert ours[0] > ours[1] > ours[3] > ours[2]


def test_compressed_rows_are_beside_the_same_matrix():
    assert 0 < faster_sparse(64, 32, 0.1, rounds=3) < float("inf")
