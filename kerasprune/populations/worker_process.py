"""What a process does that evaluates candidates, whoever has begun it: threads, the function, what is written."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from operator import attrgetter

from kerasprune.errors import PruneError
from kerasprune.populations.engine import Candidate, Job

TAIL = 4000  # characters of what a candidate wrote


@dataclass
class Worker:
    """What a worker is doing.

    Args:
        timeout: Seconds after which its job is given up; `None`: never.
        left: Jobs that it may still take.
    """

    timeout: float | None
    left: int
    job: Job | None = field(default=None, init=False)
    ready: bool = field(default=False, init=False)  # whether it has imported the function
    began: float = field(default=0.0, init=False)

    @property
    def deadline(self) -> float | None:
        """When the job is given up; waiting for cores and importing the function do not count."""
        return self.began + self.timeout if self.ready and self.timeout is not None else None


def environment(threads: int, workers: int) -> dict[str, str]:
    """Returns what keeps several processes from taking all cores, or all memory of a GPU, each.

    Args:
        threads: Of each process.
        workers: Processes at a time.
    """
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    shared = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return {**dict.fromkeys(names, str(threads)), **(shared if workers > 1 else {})}


def found(place: str) -> Candidate:
    """Returns the function of an address.

    Args:
        place: `"module:name"`.

    Raises:
        PruneError: This process cannot import it.
    """
    module, _, name = place.partition(":")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # the module is the user's
        raise PruneError(
            f"Expected a function that a new process can import. Received: {place!r} "
            f"({type(error).__name__}: {error}). Put it at the top level of a file, or take engine='serial'."
        ) from error


def write_to(file: int) -> None:
    """Sends what this process writes, also from below Python, to a file.

    Args:
        file: Its descriptor.
    """
    import faulthandler

    for stream in (1, 2):
        os.dup2(file, stream)
    faulthandler.enable()
