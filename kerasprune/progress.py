"""Progress of long steps: a line that is renewed on a terminal and in a notebook, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import perf_counter
from typing import Any, TextIO

_EVERY = 10.0  # seconds between two lines of a log
_RENEWED = 0.2  # seconds between two looks of a line
_WIDTH = 20  # of the bar


def level_of(verbose: int | str) -> int:
    """Returns how much is said: `"auto"` is 1, as for `fit`."""
    return 1 if verbose == "auto" else int(verbose)


def verbose_faults(most: int, verbose: Any) -> list[str]:
    """Returns a fault if `verbose` is neither `"auto"` nor a number from 0 to the most."""
    known = ["auto", *range(most + 1)]
    if not isinstance(verbose, bool) and isinstance(verbose, int | str) and verbose in known:
        return []
    words = f"'auto', {', '.join(map(str, range(most)))} or {most}"
    return [f"Expected verbose to be {words}. Received: verbose={verbose!r}."]


def is_in_notebook() -> bool:
    """Returns whether this is a kernel of Jupyter, Colab and the like."""
    shell = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None


def stream() -> TextIO:
    """Returns where progress goes: standard error, so that the output holds what a program prints itself.

    In a notebook it is standard output: errors are red there.
    """
    return sys.stdout if is_in_notebook() else sys.stderr


def is_renewed() -> bool:
    """Returns whether a line can be written over."""
    return is_in_notebook() or sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Returns a length of time in words, with two units at most.

    Example:
        >>> duration(42.4), duration(3725), duration(200_000)
        ('42 s', '1 h 2 min', '2 d 7 h')
    """
    seconds = round(seconds)
    for unit, size, below, less in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // less
            return f"{seconds // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{seconds} s"


def step_line(name: str, seconds: float) -> str:
    """Returns the line of a finished step.

    Example:
        >>> step_line("reconstruct", 12.34)
        'reconstruct: 12.3 s'
    """
    return f"{name}: {seconds:.1f} s"


def epoch_line(name: str, epoch: int, epochs: int, logs: Mapping[str, Any] | None) -> str:
    """Returns the line of a finished epoch.

    Example:
        >>> epoch_line("fine-tune", 1, 5, {"loss": 0.25})
        'fine-tune 1/5: loss 0.25'
    """
    return f"{name} {epoch}/{epochs}: {', '.join(f'{key} {float(value):.4g}' for key, value in (logs or {}).items())}"


def say(line: str) -> None:
    """Writes a line of progress."""
    print(line, file=stream(), flush=True)


class ProgressLine:
    """Says how far a step is, and how long the rest takes if its parts go on taking as long.

    On a terminal and in a notebook it is one line, which is gone at the end. In a log there is a line every ten seconds
    at most: a short step writes none.

    Args:
        step: Name of the step.
        total: Number of its parts.
        parts: What the parts are.
        verbose: 0 = silent, otherwise lines.

    Example:
        >>> with ProgressLine("reconstruct", 12, "layers", verbose=1) as line:
        ...     line.write(3)  # nothing in the first ten seconds of a log
    """

    def __init__(self, step: str, total: int, parts: str, verbose: int) -> None:
        self._step, self._total, self._parts, self._verbose = step, total, parts, verbose
        self._began = self._last = perf_counter()
        self._length = 0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, done: int, about: str = "") -> None:
        """Writes the line, if it is time.

        Args:
            done: Number of finished parts.
            about: What is known of the last one. Defaults to `""`.
        """
        now, renewed = perf_counter(), is_renewed()
        if not self._verbose or now - self._last < (_RENEWED if renewed else _EVERY):
            return
        self._last = now
        if renewed:
            self._renew(f"{self._step} {self._bar(done)} {self._said(done, now)}{about and f', {about}'}")
        else:
            say(f"{self._step} {self._said(done, now)}{about and f', {about}'}")

    def close(self) -> None:
        """Takes the line away."""
        if self._length:
            self._renew("")

    def _said(self, done: int, now: float) -> str:
        took = now - self._began
        left = f", {duration(took / done * (self._total - done))} left" if 0 < done < self._total else ""
        return f"{done}/{self._total} {self._parts}, {duration(took)}{left}"

    def _bar(self, done: int) -> str:
        full = round(_WIDTH * done / max(self._total, 1))
        return "━" * full + "─" * (_WIDTH - full)

    def _renew(self, line: str) -> None:
        print(f"\r{line.ljust(self._length)}", end="" if line else "\r", file=stream(), flush=True)
        self._length = len(line)
