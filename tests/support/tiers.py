"""Two tiers: every contract once by default, every matrix in `pytest -m thorough`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from zlib import crc32

import pytest


def mark_thorough(items: Iterable[Any], dear: Collection[str] = ()) -> None:
    """Marks as thorough what is dear, and all but a few cases of every test that is marked `matrix`.

    `@pytest.mark.matrix` leaves the first case in the default tier, `@pytest.mark.matrix(first=2)` two, and
    `@pytest.mark.matrix("sgd", "adam")` those with these ids. Slow cases
    are in no tier.

    Args:
        items: The cases.
        dear: Ids of cases below the folder of tests. Defaults to none.
    """
    met: Counter[str] = Counter()
    for item in items:
        if item.nodeid.removeprefix("tests/") in dear:
            item.add_marker("thorough")
        mark = item.get_closest_marker("matrix")
        if mark is not None and item.get_closest_marker("slow") is None:
            function = item.nodeid.partition("[")[0]
            met[function] += 1
            stays = item.callspec.id in mark.args if mark.args else met[function] <= mark.kwargs.get("first", 1)
            if not stays:
                item.add_marker("thorough")


class Within:
    """Leaves out what does not begin within some seconds.

    Args:
        seconds: How long cases may begin.
    """

    def __init__(self, seconds: float) -> None:
        self.end, self.left_out = time.monotonic() + seconds, 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if time.monotonic() > self.end:
            pytest.skip("left out: no time")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.left_out += report.skipped and "left out: no time" in str(report.longrepr)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.line(f"{self.left_out} cases were left out: no time")


class Changed:
    """Leaves out the files of tests that mirror no room of a change: its own come first, the rest in turns.

    Args:
        names: The files that changed, by their paths below the root of the repository.
        root: That root.
    """

    def __init__(self, names: Sequence[str], root: Path) -> None:
        self.own = {root / name for name in names}
        tests = root / "tests"
        self.mirrors = {tests / mirror for name in names if (mirror := mirror_of(name, tests)) is not None}
        self.turn = crc32("\n".join(names).encode())

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        if collection_path.suffix != ".py" or collection_path in self.own:
            return None
        return None if self.mirrors & {collection_path, *collection_path.parents} else True

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        first = [item for item in items if item.path in self.own]
        rest = [item for item in items if item.path not in self.own]
        begin = self.turn % max(len(rest), 1)
        items[:] = [*first, *rest[begin:], *rest[:begin]]


def mirror_of(name: str, tests: Path) -> str | None:
    """Returns what tests a file, below the folder of tests: a folder for a room, a file for a module or for pages.

    Args:
        name: The path of a file below the root of the repository.
        tests: The folder of tests.

    Returns:
        E.g. `"graph"` for `kerasprune/graph/groups.py`, `"surgery/costs"` for `kerasprune/surgery/costs/cost.py`,
        `"test_errors.py"` for `kerasprune/errors.py`; `None` if nothing mirrors it.
    """
    top, *inside = PurePosixPath(name).parts
    if top == "kerasprune" and inside:
        *folders, file = inside
        nested = ("/".join(folders[:depth]) for depth in range(len(folders), 0, -1))
        return next((each for each in nested if (tests / each).is_dir()), f"test_{PurePosixPath(file).stem}.py")
    return "test_docs.py" if top == "docs" or name == "README.md" else None
