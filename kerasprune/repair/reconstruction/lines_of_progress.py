"""Lines on how far a long step is, so that nobody waits in the dark."""

from __future__ import annotations

import sys
from time import perf_counter

_EVERY = 10  # seconds


class LinesOfProgress:
    """Writes how far a step is to standard error, at most a line every ten seconds: a short step writes none.

    Args:
        step: Name of the step.
        total: Number of its parts.
        parts: What the parts are.
        verbose: 0 = silent, otherwise lines.

    Example:
        >>> LinesOfProgress("reconstruct", 12, "layers", verbose=1).write(3)  # nothing in the first ten seconds
    """

    def __init__(self, step: str, total: int, parts: str, verbose: int) -> None:
        self._step, self._total, self._parts, self._verbose = step, total, parts, verbose
        self._began = self._last = perf_counter()

    def write(self, done: int) -> None:
        """Writes a line, if it is time.

        Args:
            done: Number of finished parts.
        """
        now = perf_counter()
        if self._verbose and now - self._last >= _EVERY:
            self._last = now
            line = f"{self._step} {done}/{self._total} {self._parts}, {now - self._began:.0f} s"
            print(line, file=sys.stderr, flush=True)
