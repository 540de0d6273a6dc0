"""What each case costs: processor seconds of its process and of the children it has waited for; printed, not judged.

What a case costs depends on the machine, so a run never decides it: the list in `dear_cases.txt` does, which a run with
`--note-dear` writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

LIMIT = 0.4  # processor seconds of a case of the default tier that is not marked `whole`
DEAR = Path(__file__).parents[1] / "dear_cases.txt"
SHOWN = 10
KEY, WHOLE = "processor_seconds", "whole"


def read_dear_cases() -> set[str]:
    """Returns the cases that the list says are dear, by their ids below the folder of tests."""
    return set(DEAR.read_text().splitlines()) if DEAR.exists() else set()


def spent() -> float:
    """Returns the processor seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


class ProcessorTime:
    """Measures every case, on workers of pytest-xdist as well, and prints the dearest."""

    def __init__(self) -> None:
        self.begun, self.seconds, self.whole = 0.0, {}, set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.begun = spent()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Any:
        report = yield
        if call.when == "teardown":
            report.user_properties.append((KEY, spent() - self.begun))
            report.user_properties.append((WHOLE, item.get_closest_marker(WHOLE) is not None))
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "teardown" and KEY in (properties := dict(report.user_properties)):
            self.seconds[report.nodeid] = properties[KEY]
            if properties[WHOLE]:
                self.whole.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        if hasattr(config, "workerinput") or not self.seconds:
            return
        dearest = sorted(self.seconds.items(), key=lambda each: -each[1])
        terminalreporter.section("processor time")
        terminalreporter.line(f"{sum(self.seconds.values()):.0f} s in {len(dearest)} cases; the dearest:")
        for case, seconds in dearest[:SHOWN]:
            terminalreporter.line(f"{seconds:7.2f} s  {case}")
        above = {case.removeprefix("tests/") for case, each in dearest if each > LIMIT and case not in self.whole}
        if above and config.getoption("--note-dear"):
            DEAR.write_text("".join(f"{case}\n" for case in sorted(above | read_dear_cases())))
        elif above and "thorough" not in config.option.markexpr.replace("not thorough", ""):
            line = f"{len(above)} above {LIMIT:g} s: make them cheaper, or note them with --note-dear"
            terminalreporter.line(line, yellow=True)
