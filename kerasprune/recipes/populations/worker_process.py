"""Shared code of engines that use processes: workers with deadlines, and the code that runs in a worker."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from kerasprune.errors import PruneError
from kerasprune.files.writing import replace_unprintable
from kerasprune.recipes.populations.engine import CandidateFunction, Job, Outcome, Settings, evaluate_job

TAIL = 4000  # characters of the output of a candidate


@dataclass(eq=False)
class Worker:
    """A worker and its job.

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
        """Time at which the job is cancelled; waiting for cores and importing the function do not count."""
        return self.began + self.timeout if self.ready and self.timeout is not None else None

    def failed(self, error: str, log: str = "") -> Outcome:
        """Returns the outcome of a failed job."""
        return Outcome(self.job.key, time.monotonic() - self.began, error=error, log=log[-TAIL:])


class WorkerPool:
    """Base of the engines whose workers are processes.

    A subclass writes `_start_worker()`, which returns a new worker, one of `_workers` now, that has `take(job)`;
    `_wait_for_messages(busy, patience)`, which waits at most so many seconds and returns the workers that have sent a
    message or ended; `_read_message(worker)`, the outcome of such a worker's job, if any; and
    `_end_late_worker(worker, error)`, which ends a worker after its deadline and returns the outcome of its job.

    Args:
        settings: Number of workers, and timeout.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers: list[Any] = []

    @property
    def free(self) -> int:
        """Number of jobs that can be started now."""
        return self._settings.workers - len(self._busy())

    def start(self, job: Job) -> None:
        """Hands a job to an idle worker, or to a new one."""
        worker = next((one for one in self._workers if one.job is None), None) or self._start_worker()
        worker.take(job)

    def wait(self) -> list[Outcome]:
        """Waits for the first outcome, the end of a worker, or the end of its time.

        Raises:
            PruneError: A worker could not even import the function.
        """
        outcomes: list[Outcome] = []
        while not outcomes:
            busy = self._busy()
            limits = [worker.deadline for worker in busy if worker.deadline is not None]
            answered = self._wait_for_messages(busy, max(0.0, min(limits) - time.monotonic()) if limits else None)
            for worker in busy:
                outcome = None
                if worker in answered:
                    outcome = self._read_message(worker)
                elif worker.deadline is not None and time.monotonic() >= worker.deadline:
                    outcome = self._end_late_worker(worker, f"Given up after timeout={worker.timeout:g} seconds.")
                if outcome is not None:
                    outcomes.append(outcome)
        return outcomes

    def _busy(self) -> list[Any]:
        return [worker for worker in self._workers if worker.job is not None]


def place_of(function: str | CandidateFunction) -> str:
    """Returns `"module:name"` of a function, as seen by processes started from this one."""
    return function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"


def environment(threads: int, workers: int) -> dict[str, str]:
    """Returns environment variables that keep each process from taking all cores, or all memory of a GPU.

    Args:
        threads: Number of threads of each process.
        workers: Processes at a time.
    """
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    shared = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return {**dict.fromkeys(names, str(threads)), **(shared if workers > 1 else {})}


def find_function(place: str) -> CandidateFunction:
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


def begin(file: int, variables: Mapping[str, str]) -> None:
    """Sets unset environment variables, and redirects the output of this process, also of C++, to a file.

    Args:
        file: Its descriptor.
        variables: See `environment`.
    """
    import faulthandler

    for name, value in variables.items():
        os.environ.setdefault(name, value)
    for stream in (1, 2):
        os.dup2(file, stream)
    replace_unprintable()
    faulthandler.enable()


def record_outcome(function: CandidateFunction, job: Job, file: int) -> Outcome:
    """Returns the outcome of a job; a failed one with the end of the output of this process."""
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    outcome = evaluate_job(function, job)
    sys.stdout.flush()
    sys.stderr.flush()
    if outcome.error is None:
        return outcome
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, encoding="utf-8", errors="replace", closefd=False) as written:
        return replace(outcome, log=(written.read() + outcome.log)[-TAIL:])
