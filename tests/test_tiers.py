"""The two tiers: what a matrix leaves in the default one, and what is left out when time is short."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.tiers import Within, matrix


def names(params: list) -> tuple[list, list]:
    """Returns the values of the default tier, and those of the thorough one."""
    thorough = [any(mark.name == "thorough" for mark in each.marks) for each in params]
    split = [[each.values for each, there in zip(params, thorough, strict=True) if there == kind] for kind in (0, 1)]
    return split[0], split[1]


def test_all_but_the_first_are_thorough():
    assert names(matrix([1, 2, 3])) == ([(1,)], [(2,), (3,)])
    assert names(matrix([(1, "a"), (2, "b"), (3, "c")], first=2)) == ([(1, "a"), (2, "b")], [(3, "c")])


def test_the_default_ones_can_be_named_and_other_marks_stay():
    params = [pytest.param(1, id="one", marks=pytest.mark.slow), pytest.param(2, id="two"), 3]
    made = matrix(params, default=["two"])
    assert names(made) == ([(2,)], [(1,), (3,)])
    assert {mark.name for mark in made[0].marks} == {"slow", "thorough"} and made[0].id == "one"
    with pytest.raises(AssertionError, match="no values of the matrix"):
        matrix(params, default=["three"])


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
