"""Times of warm epochs, and their ratio to a plain fit's.

One thread each: on a shared machine the threads of a pool are woken late, which makes one and the same epoch up to
twice as long. Beside the clock's seconds stand those of the processor, which other work on the machine hardly moves.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from rows import spread

os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PLAIN, AGAIN = "plain", "plain fit, once more"
CLOCKS = {"clock": time.perf_counter, "processor": time.process_time}
HEAD = " | ".join(f"{clock}, step time ÷ plain" for clock in CLOCKS)


def timer(callback: type) -> Any:
    """Returns a callback that takes the seconds of every epoch, by each clock; to stand last.

    Args:
        callback: The base class, of this or that Keras.

    """

    class Timer(callback):
        def __init__(self):
            super().__init__()
            self.seconds = {name: [] for name in CLOCKS}

        def on_epoch_begin(self, epoch, logs=None):
            self.began = {name: clock() for name, clock in CLOCKS.items()}

        def on_epoch_end(self, epoch, logs=None):
            for name, clock in CLOCKS.items():
                self.seconds[name].append(clock() - self.began[name])

    return Timer()


def ratios(fit: Callable[[str], Any], names: Iterable[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Returns `{fit: {clock: its ratio to the plain fit, one for each round}}`; a second plain fit is a control.

    Args:
        fit: Trains with what a name stands for and returns its `timer`. Its first epoch compiles and does not count.
        names: What is compared with the plain fit.
        rounds: How often every fit is begun anew; they take turns.

    """
    found: dict[str, dict[str, list[float]]] = {name: {clock: [] for clock in CLOCKS} for name in (*names, AGAIN)}
    for number in range(rounds):
        plain = _medians(fit(PLAIN))
        for name, columns in found.items():
            for clock, seconds in _medians(fit(name)).items():
                columns[clock].append(seconds / plain[clock])
        print(f"round {number + 1} of {rounds}: {cells(found)}", flush=True)
    return found


def _medians(timed: Any) -> dict[str, float]:
    return {clock: statistics.median(seconds[1:]) for clock, seconds in timed.seconds.items()}


def cells(found: dict[str, dict[str, list[float]]]) -> dict[str, str]:
    """Returns `{fit: cells of a table}`: for each clock the median of the rounds and, in brackets, their range."""
    return {name: " | ".join(map(spread, columns.values())) for name, columns in found.items()}
