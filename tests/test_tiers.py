"""The two tiers: what a matrix leaves in the default one, and what is left out when time is short."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.tiers import Changed, Within, mark_thorough, mirror_of

ROOT = Path(__file__).parents[1]


class Item:
    """A case of a test."""

    def __init__(self, function: str, case: str, mark: pytest.Mark | None) -> None:
        self.nodeid, self.callspec, self.mark, self.added = f"{function}[{case}]", SimpleNamespace(id=case), mark, []

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.mark if name == "matrix" else None

    def add_marker(self, name: str) -> None:
        self.added.append(name)


@pytest.mark.parametrize(
    ("mark", "default"),
    [
        (None, "abcd"),
        (pytest.mark.matrix, "a"),
        (pytest.mark.matrix(first=2), "ab"),
        (pytest.mark.matrix("d", "b"), "bd"),
    ],
)
def test_a_matrix_leaves_some_cases_in_the_default_tier(mark, default):
    items = [Item(f"test_{n}", case, mark and mark.mark) for n in range(2) for case in "abcd"]
    mark_thorough(items)
    assert "".join(item.callspec.id for item in items if not item.added) == 2 * default
    assert {name for item in items for name in item.added} <= {"thorough"}


@pytest.mark.parametrize(
    ("name", "mirror"),
    [
        ("kerasprune/graph/groups.py", "graph"),
        ("kerasprune/papers/eie/cycles.py", "papers"),
        ("kerasprune/surgery/costs/cost.py", "surgery/costs"),
        ("kerasprune/errors.py", "test_errors.py"),
        ("docs/methods/magnitude.md", "test_docs.py"),
        ("README.md", "test_docs.py"),
        ("CHANGELOG.md", None),
        ("benchmarks/latency.py", None),
    ],
)
def test_what_mirrors_a_file(name, mirror):
    assert mirror_of(name, ROOT / "tests") == mirror


def test_files_that_mirror_no_change_are_left_out_and_changed_ones_come_first():
    changed = Changed(
        ["kerasprune/graph/groups.py", "kerasprune/plans.py", "tests/graph/test_b.py", "tests/x.py"], ROOT
    )
    names = ["graph/test_a.py", "graph/test_b.py", "graph/test_c.py", "test_plans.py", "test_docs.py", "data/test_d.py"]
    taken = [name for name in names if not changed.pytest_ignore_collect(ROOT / "tests" / name)]
    assert taken == ["graph/test_a.py", "graph/test_b.py", "graph/test_c.py", "test_plans.py"]
    assert not changed.pytest_ignore_collect(ROOT / "tests" / "data")
    for changed.turn in range(6):
        items = [SimpleNamespace(path=ROOT / "tests" / name) for name in taken]
        changed.pytest_collection_modifyitems(items)
        begin, (first, *rest) = changed.turn % 3, [item.path.stem[-1] for item in items]
        assert (first, rest) == ("b", [*"acs", *"acs"][begin : begin + 3])


def test_nothing_begins_when_time_is_up():
    Within(100).pytest_runtest_setup(None)
    with pytest.raises(pytest.skip.Exception, match="no time"):
        Within(-1).pytest_runtest_setup(None)
