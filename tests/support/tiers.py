"""Two tiers: every contract once by default, every matrix in `pytest -m thorough`."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest


def matrix(values: Iterable[Any], *, default: Iterable[Any] = (), first: int = 1) -> list[Any]:
    """Returns the values of a parametrized test, all but a few of them marked thorough.

    Args:
        values: The values, sets of them, or `pytest.param`.
        default: The values that stay in the default tier; of `pytest.param`, their ids. Defaults to the first ones.
        first: How many stay there if `default` is not given.
    """
    params = [each if isinstance(each, _PARAM) else _param(each) for each in values]
    chosen = list(default)
    kept = [_name(each) in chosen for each in params] if chosen else [n < first for n in range(len(params))]
    assert not chosen or sum(kept) == len(chosen), f"of {chosen}, some are no values of the matrix"
    return [
        each if stays else pytest.param(*each.values, id=each.id, marks=[*each.marks, pytest.mark.thorough])
        for each, stays in zip(params, kept, strict=True)
    ]


_PARAM = type(pytest.param())


def _param(value: Any) -> Any:
    return pytest.param(*value) if isinstance(value, tuple) else pytest.param(value)


def _name(param: Any) -> Any:
    if param.id is not None:
        return param.id
    return param.values if len(param.values) > 1 else param.values[0]


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
