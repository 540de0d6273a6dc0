"""Linear mode connectivity: the rows and their verdicts from figures that are given, and a run as short as can be."""

from __future__ import annotations

import numpy as np
import pytest

from kerasprune.analysis import Instability
from kerasprune.papers.lottery import linear_mode
from kerasprune.papers.lottery.linear_mode import LinearModeSetting
from kerasprune.papers.lottery.tickets import Ticket
from kerasprune.recipes.reproductions.entry import Note

STABLE = {"0ep": (0.2, 0.3), "8ep": (0.0, 0.02)}


def given(values: dict[str, tuple[float, ...]]) -> Instability:
    rows = [
        {"k": k, "seed": seed, "instability": value, "barrier": 3 * value, "error_a": 0.1, "error_b": 0.1}
        for k, each in values.items()
        for seed, value in enumerate(each)
    ]
    return Instability(tuple(rows))


def test_verdicts_follow_the_figures():
    good, bad = linear_mode._of_dense(given(STABLE)), linear_mode._of_dense(given({"0ep": (0.1,), "8ep": (0.2,)}))
    assert [row.agrees for row in good] == [True] * 4 and [row.agrees for row in bad] == [True, True, False, False]
    assert good[0].ours == "25.0 ± 7.1 points, barrier 0.75 ± 0.21"
    tickets = [Ticket("x", 1.0, kept, 0.9, {}, []) for kept in (1.0, 0.2)]
    sparse = {"ticket": given({"1ep": (0.01,)}), "random masks": given({"1ep": (0.2,)})}
    rows = linear_mode._of_sparse(sparse, tickets, "1ep")
    assert [row.agrees for row in rows] == [True] * 5 and rows[-2].ours == pytest.approx(1.0)
    turned = dict(zip(sparse, reversed(sparse.values()), strict=True))
    assert [row.agrees for row in linear_mode._of_sparse(turned, tickets, "1ep")] == [True, True, True, False, False]


@pytest.mark.thorough
def test_a_short_run():
    small = {"name": "lenet_300_100"}
    rows = linear_mode.linear_mode(LinearModeSetting(2, ("0ep", "2ep"), 1, (0.5,), (0,), 256, small))
    assert len(rows) == 4 + 5
    assert [isinstance(row, Note) for row in rows] == [True, True, False, False, True, True, True, False, False]
    assert rows[2].ours == 0 and np.isfinite([row.ours for row in rows if not isinstance(row, Note)]).all()
