"""Fits that take turns, an epoch each, so that what disturbs the machine disturbs all of them alike.

Every fit runs in a process of its own, and only the one whose turn it is runs: a line to its input begins an epoch, a
line of its output, with the seconds from the epoch's begin to its end, hands the turn back. Each has one thread: on a
shared machine the threads of a pool are woken late, which makes an epoch of one and the same fit up to twice as long.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

_MARK = "epoch took "
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def take_turns(commands: Mapping[str, Sequence[str]], epochs: int) -> dict[str, list[float]]:
    """Returns the seconds of every epoch of every fit.

    Args:
        commands: What starts each fit; the clock of `clock` is the last callback of each.
        epochs: Number of epochs of each.

    """
    settings = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    settings["env"] = os.environ | _ONE_THREAD
    fits = {name: subprocess.Popen(command, **settings) for name, command in commands.items()}
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    try:
        for turn in range(epochs):
            for name, fit in fits.items():
                fit.stdin.write("go\n")
                seconds[name].append(_answer(name, fit))
            print(f"turn {turn + 1} of {epochs}", file=sys.stderr, flush=True)
    finally:
        for fit in fits.values():
            fit.kill()
            fit.wait()
    return seconds


def _answer(name: str, fit: subprocess.Popen) -> float:
    for line in fit.stdout:
        if line.startswith(_MARK):
            return float(line.removeprefix(_MARK))
    sys.exit(f"{name}: ended before its epochs were over")


def wait() -> None:
    """Waits for the turn."""
    if not sys.stdin.readline():
        sys.exit("the one who gives the turns is gone")


def clock(callback: type) -> Any:
    """Returns the callback that keeps to the turns; `callback` is the base class of this or that Keras.

    What other callbacks do between an epoch's end and the next one's begin belongs to the turn, but is not timed.
    """

    class Clock(callback):
        seconds = None

        def on_epoch_begin(self, epoch, logs=None):
            if self.seconds is not None:
                self.hand_back()
                wait()
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.began

        def on_train_end(self, logs=None):
            self.hand_back()

        def hand_back(self):
            print(f"{_MARK}{self.seconds}", flush=True)

    return Clock()


def ratios(seconds: Mapping[str, list[float]], plain: str, warm: int = 1) -> dict[str, list[float]]:
    """Returns every fit's epochs ÷ the plain fit's of the same turn, without the first `warm`, which compile."""
    return {
        name: [a / b for a, b in zip(found[warm:], seconds[plain][warm:], strict=True)]
        for name, found in seconds.items()
        if name != plain
    }


def spread(values: list[float]) -> str:
    """Returns median [lower quartile, upper quartile]."""
    low, _, high = statistics.quantiles(values, n=4)
    return f"{statistics.median(values):.3f} [{low:.3f}, {high:.3f}]"
