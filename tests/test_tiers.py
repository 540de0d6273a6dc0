"""The two tiers: what a matrix leaves in the default one, and what is left out when time is short."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.tiers import Within, mark_thorough


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


def test_what_changed_last_comes_first_and_the_rest_in_turns():
    items = [SimpleNamespace(path=Path(name)) for name in "abcdef"]
    for turn in range(8):
        ordered = list(items)
        Within(10, changed=[Path("c")], turn=turn).pytest_collection_modifyitems(ordered)
        found = "".join(str(item.path) for item in ordered)
        begin = turn % 5
        assert found == "c" + ("abdef" * 2)[begin : begin + 5]


def test_nothing_begins_when_time_is_up():
    Within(100).pytest_runtest_setup(None)
    with pytest.raises(pytest.skip.Exception, match="no time"):
        Within(-1).pytest_runtest_setup(None)
