"""Progress of a population: a bar on a terminal, a line for each candidate elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from kerasprune.progress import duration


class Meter:
    """Shows the finished and failed candidates and the remaining time, `left · elapsed / done`, on standard error.

    Args:
        total: Number of candidates.
        earlier: Those that were evaluated before. Defaults to 0.
        verbose: 0 shows nothing. Defaults to 1.
    """

    def __init__(self, total: int, earlier: int = 0, verbose: int = 1) -> None:
        self.total = total
        self.earlier = self.done = self.failed = 0
        self._verbose = verbose
        self._began = time.monotonic()
        self._bar = _bar(total) if verbose and total > earlier and sys.stderr.isatty() else None
        self.skip(earlier)

    def skip(self, number: int) -> None:
        """Counts candidates that were evaluated before."""
        self.earlier += number
        if self._bar is not None:
            self._bar.tasks[0].completed += number  # by update() it would count as speed
        if number:
            self._say(f"{self.earlier} of {self.total} candidates were evaluated before")

    def advance(self, failed: bool, error: str | None) -> None:
        """Counts a finished candidate."""
        self.done += 1
        self.failed += failed
        if self._bar is not None:
            self._bar.update(0, advance=1, failed=f"{self.failed} failed" if self.failed else "")
        if error is not None:
            self._say(f"failed: {error}")
        elif self._bar is None:
            self._say(str(self))

    def __str__(self) -> str:
        left = self.total - self.earlier - self.done
        text = f"{self.earlier + self.done} of {self.total} candidates"
        text += f", {self.failed} failed" if self.failed else ""
        if not left or not self.done:
            return text
        return f"{text}, about {duration((time.monotonic() - self._began) / self.done * left)} left"

    def close(self) -> None:
        """Restores the terminal."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, line: str) -> None:
        if not self._verbose:
            return
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


def _bar(total: int) -> Any:
    """Returns a bar of rich, or `None` if that is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining
    except ModuleNotFoundError:
        return None
    columns = (TextColumn("candidates"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"))
    # One candidate may take an hour: the speed is that of all so far, not of the last half minute.
    times = (TimeElapsedColumn(), TextColumn("left"), Remaining())
    bar = Progress(*columns, *times, console=Console(stderr=True), speed_estimate_period=1e9)
    bar.add_task("candidates", total=total, failed="")
    bar.start()
    return bar
