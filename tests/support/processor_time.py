"""What each case costs: processor seconds of its process and of the children it has waited for.

pytest --processor-seconds=FILE                 # writes the seconds of every case
python tests/support/processor_time.py FILE     # runs those above the limit once more; fails if both are above it
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIMIT = 4.0  # processor seconds of a case of the default tier that is not marked `whole`
SHOWN = 10
KEY, WHOLE = "processor_seconds", "whole"


def spent() -> float:
    """Returns the processor seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


class ProcessorTime:
    """Measures every case, on workers of pytest-xdist as well, and prints the dearest.

    Args:
        file: Where the seconds of all cases are written. Defaults to nowhere.
    """

    def __init__(self, file: str | None = None) -> None:
        self.file, self.begun, self.seconds, self.whole = file, 0.0, {}, []

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
            self.whole += [report.nodeid] * properties[WHOLE]

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        if hasattr(config, "workerinput") or not self.seconds:
            return
        dearest = sorted(self.seconds.items(), key=lambda each: -each[1])
        terminalreporter.section("processor time")
        terminalreporter.line(f"{sum(self.seconds.values()):.0f} s in {len(dearest)} cases; the dearest:")
        for case, seconds in dearest[:SHOWN]:
            terminalreporter.line(f"{seconds:7.2f} s  {case}")
        if self.file is not None:
            Path(self.file).write_text(json.dumps({"seconds": dict(dearest), "whole": self.whole}, indent=1))
        above = len(over(self.seconds, self.whole))
        if above and "thorough" not in config.option.markexpr.replace("not thorough", ""):
            terminalreporter.line(f"{above} above {LIMIT:g} s: mark them thorough, or make them cheaper", yellow=True)


def over(seconds: dict[str, float], whole: list[str]) -> dict[str, float]:
    """Returns the seconds of the cases above the limit, but for those that are marked."""
    return {case: each for case, each in seconds.items() if each > LIMIT and case not in whole}


def again(file: str) -> int:
    """Runs the cases of a file that are above the limit once more; returns how many are above it in both runs.

    A case pays for what its process loads once (the converter, the interpreter) if it comes first: the dearest of the
    marked cases does so here.
    """
    found = json.loads(Path(file).read_text())
    first, seconds = over(**found), found["seconds"]
    if not first:
        return 0
    begin = max(found["whole"], key=seconds.get, default=None)
    second = Path(file).with_suffix(".again.json")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-o", "addopts=--import-mode=importlib"]
    subprocess.run([*command, f"--processor-seconds={second}", *filter(None, [begin]), *reversed(first)], check=False)
    seconds = json.loads(second.read_text())["seconds"]
    slow = over({case: min(before, seconds.get(case, before)) for case, before in first.items()}, [])
    for case, smaller in slow.items():
        print(f"{smaller:.1f} s of processor time, more than {LIMIT:g}: {case}")
    return len(slow)


if __name__ == "__main__":
    sys.exit(min(again(sys.argv[1]), 1))
