"""Functions that populations evaluate: quick, and each notes in a file that it was called."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def noted(folder: str, x: int = 0, y: int = 1) -> dict:
    """Returns a few numbers."""
    _note(folder, x)
    return {"product": x * y, "process": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}


def unlucky(folder: str, x: int) -> float:
    """Ends in every way that a candidate can end."""
    calls = _note(folder, x)
    print(f"candidate {x} says hello", flush=True)
    if x == 1:
        raise ValueError("no such width")
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 3:
        time.sleep(60)
    if x == 4 and calls == 1:
        raise OSError("only the first time")
    if x == 5:
        return object()
    if x == 6:
        os._exit(3)
    return x / 2


def shot(folder: str, x: int) -> dict:
    """Is killed by the system: number 2 the first time, number 4 whenever it runs; number 1 raises."""
    calls = _note(folder, x)
    print(f"candidate {x} says hello", flush=True)
    if x == 4 or x == 2 and calls == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 1:
        raise ValueError("no such width")
    return {"square": x * x}


def slow(folder: str, x: int) -> int:
    """Takes a moment."""
    _note(folder, x)
    time.sleep(0.4)
    with Path(folder, "ends").open("a") as file:
        file.write(f"{x}\n")
    return x


def _note(folder: str, x: int) -> int:
    path = Path(folder) / f"{x}.calls"
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(path.read_text().splitlines())
