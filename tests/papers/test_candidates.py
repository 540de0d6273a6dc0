"""Figures of candidates: what was judged is drawn, and nothing where there was nothing to judge."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from kerasprune.files import write_rows
from kerasprune.papers.pruning_nets.figures import searched
from kerasprune.papers.pruning_spaces.figures import judged, space
from kerasprune.recipes.reports import record
from kerasprune.recipes.reports.record import Record

EMPTY = Record(title="empty", recipe={}, summary={})
SPACE = [
    {"recipe": 1, "macs": 0.25, "params": 0.2, "mcb": 1.25, "std": 0.05, "recalibrated": 0.6, "round 1": 0.9, "a": 0.5},
    {"recipe": 0, "macs": 0.25, "params": 0.3, "mcb": 0.83, "std": 0.09, "recalibrated": 0.7, "round 1": 0.8, "a": 0.4},
    {"recipe": 2, "macs": 0.25, "params": 0.3, "mcb": 0.83, "std": 0.02, "recalibrated": 0.2, "round 1": "", "a": 0.6},
]
SEARCHED = [
    {"score": -0.5, "generation": 0, "origin": "given", "a": 0.5},
    {"score": -0.7, "generation": 0, "origin": "random", "a": 0.4},
    {"score": -0.4, "generation": 1, "origin": "mutation", "a": 0.6},
]


@pytest.fixture
def run(tmp_path):
    """A run folder, as far as these figures ask for it."""
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "widths.json").write_text('{"a": [16, 8]}')
    write_rows(tmp_path / "space.csv", SPACE)
    write_rows(tmp_path / "candidates.csv", SEARCHED)
    return record.read(tmp_path)


@pytest.mark.parametrize("draw", [space, searched])
def test_draws_svg_that_repeats_byte_for_byte_and_nothing_where_there_is_nothing(draw, run):
    svg = draw(run)
    assert ElementTree.fromstring(svg).tag.endswith("svg") and draw(run) == svg
    assert draw(EMPTY) is None


def test_every_round_has_those_that_it_judged(run):
    found = judged(run)
    assert {name: [row["recipe"] for row in rows] for name, rows in found.items()} == {
        "recalibrated": [1, 0, 2],
        "round 1": [1, 0],
    }


def test_a_table_that_is_half_written_is_drawn_as_far_as_it_goes(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "candidates.csv").write_text("score,generation,origin\n-0.5,0,random\n,,\n")
    assert searched(record.read(tmp_path)) is not None
    (tmp_path / "space.csv").write_text("")
    assert space(record.read(tmp_path)) is None
