"""Two tiers: every contract once by default, every matrix in `pytest -m thorough`."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest


def mark_thorough(items: Iterable[Any]) -> None:
    """Marks all but a few cases of every test that is marked `matrix` as thorough.

    `@pytest.mark.matrix` leaves the first case in the default tier, `@pytest.mark.matrix(first=2)` two, and
    `@pytest.mark.matrix("sgd", "adam")` those with these ids. Slow cases
    are in no tier.
    """
    met: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("matrix")
        if mark is not None and item.get_closest_marker("slow") is None:
            function = item.nodeid.partition("[")[0]
            met[function] += 1
            stays = item.callspec.id in mark.args if mark.args else met[function] <= mark.kwargs.get("first", 1)
            if not stays:
                item.add_marker("thorough")


class Within:
    """Leaves out what does not begin within some seconds; what changed last comes first, the rest in turns.

    Args:
        seconds: How long cases may begin.
        changed: Files of tests whose cases come first.
        turn: Where in the rest to begin: any number, such as that of a commit.
    """

    def __init__(self, seconds: float, changed: Iterable[Path] = (), turn: int = 0) -> None:
        self.end, self.changed, self.turn, self.left_out = time.monotonic() + seconds, set(changed), turn, 0

    @classmethod
    def of_commit(cls, seconds: float, root: Path) -> Within:
        """Returns one for the newest commit of a checkout: its files first, and a turn of its own."""

        def git(*words: str) -> str:
            return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout

        changed = git("show", "--name-only", "--format=", "HEAD").splitlines()
        return cls(seconds, [root / name for name in changed], int(git("rev-parse", "HEAD")[:8], 16))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        first = [item for item in items if item.path in self.changed]
        rest = [item for item in items if item.path not in self.changed]
        begin = self.turn % max(len(rest), 1)
        items[:] = [*first, *rest[begin:], *rest[:begin]]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if time.monotonic() > self.end:
            pytest.skip("left out: no time")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.left_out += report.skipped and "left out: no time" in str(report.longrepr)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.line(f"{self.left_out} cases were left out: no time")
