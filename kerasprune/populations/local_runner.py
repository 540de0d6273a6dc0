"""Candidates in processes of this machine, each begun afresh: one that crashes or hangs takes no other with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection as pipes
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError
from kerasprune.populations.engine import Candidate, Job, Outcome, Settings, evaluated
from kerasprune.populations.worker_process import TAIL, Worker, environment, found, write_to

PREFIX = "candidates-"  # what the processes are called
_PATIENCE = 5  # seconds that a process has to end by itself
_SPAWN = multiprocessing.get_context("spawn")  # a fork would share TensorFlow's threads and locks, and hang


class LocalRunner:
    """An engine of spawned processes.

    Args:
        function: A function at the top level of a module, or its address.
        settings: Number of processes, threads of each, and when to give up.

    Raises:
        PruneError: This process is itself one that evaluates candidates.
    """

    def __init__(self, function: str | Candidate, settings: Settings) -> None:
        if multiprocessing.current_process().name.startswith(PREFIX):
            raise PruneError(
                "Expected to start processes from the script only. Received: a script that does so when it is "
                "imported, which every process does. Put the call below \"if __name__ == '__main__':\"."
            )
        self._place = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
        self._settings = settings
        self._logs = Path(tempfile.mkdtemp(prefix="kerasprune-"))
        self._workers: list[_LocalWorker] = []
        self._leaving: list[_LocalWorker] = []
        self._begun = 0

    @property
    def free(self) -> int:
        """How many jobs can be started now."""
        return self._settings.workers - sum(worker.job is not None for worker in self._workers)

    def start(self, job: Job) -> None:
        """Hands a job to a process that waits for one, or to a new one."""
        self._workers = [one for one in self._workers if one.job is not None or one.process.is_alive()]
        worker = next((one for one in self._workers if one.job is None), None) or self._hired()
        worker.take(job)

    def wait(self) -> list[Outcome]:
        """Waits for the first outcome, the end of a process, or the end of its time.

        Raises:
            PruneError: A process could not even import the function.
        """
        outcomes: list[Outcome] = []
        while not outcomes:
            busy = [worker for worker in self._workers if worker.job is not None]
            handles = [handle for worker in busy for handle in (worker.pipe, worker.process.sentinel)]
            limits = [worker.deadline for worker in busy if worker.deadline is not None]
            ready = pipes.wait(handles, max(0.0, min(limits) - time.monotonic()) if limits else None)
            for worker in busy:
                heard = worker.heard(ready)
                if heard is not None:
                    outcomes.append(heard)
                    self._dismiss(worker)
        return outcomes

    def close(self) -> None:
        """Ends all processes, also in the middle of a job."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in [*self._workers, *self._leaving]:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        shutil.rmtree(self._logs, ignore_errors=True)

    def _hired(self) -> _LocalWorker:
        ours, theirs = _SPAWN.Pipe()
        log = self._logs / f"{self._begun}.log"
        process = _SPAWN.Process(
            target=_work, args=(theirs, self._place, str(log), _environment(self._settings)), name=f"{PREFIX}{log.stem}"
        )
        with _deaf_to_interrupts():
            process.start()
        theirs.close()
        self._begun += 1
        worker = _LocalWorker(self._settings.timeout, self._settings.per_process, process, ours, log)
        self._workers.append(worker)
        return worker

    def _dismiss(self, worker: _LocalWorker) -> None:
        """Lets a process go that has done its share, or has ended."""
        worker.left -= 1
        if worker.left > 0 and worker.process.is_alive():
            return
        self._workers.remove(worker)
        self._leaving = [one for one in self._leaving if one.process.is_alive()]
        worker.leave()
        self._leaving.append(worker)


@dataclass
class _LocalWorker(Worker):
    """A process, and what it is doing."""

    process: Any
    pipe: pipes.Connection
    log: Path

    def take(self, job: Job) -> None:
        self.job, self.began = job, time.monotonic()
        self._send(job)

    def leave(self) -> None:
        self._send(None)

    def _send(self, message: Job | None) -> None:
        with contextlib.suppress(OSError):  # its process has ended, which `heard` notices
            self.pipe.send(message)

    def heard(self, ready: list[Any]) -> Outcome | None:
        """Returns the outcome of the job where there is one."""
        outcome = None
        if self.pipe in ready:
            message = self._received()
            if message == "ready":
                self.ready, self.began = True, time.monotonic()
                return None
            if isinstance(message, str):
                raise PruneError(message)
            outcome = message
        elif self.process.sentinel in ready:
            outcome = self._ended()
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            self.process.kill()
            self.process.join()
            outcome = self._failed(f"Given up after timeout={self.timeout:g} seconds.")
        if outcome is not None:
            self.job = None
        return outcome

    def _received(self) -> Any:
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            return self._ended()
        if isinstance(message, Outcome) and message.error:
            return replace(message, log=(self._written() + message.log)[-TAIL:])
        return message

    def _ended(self) -> Outcome:
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        how = f"ended with exit code {code}" if code is None or code >= 0 else f"was killed by {_signal(-code)}"
        if not self.ready:
            raise PruneError(
                f"Expected a process that imports the function. Received: one that {how} before. What it wrote stands "
                "above; run the function by itself, or with engine='serial'.\n" + self._written()
            )
        return self._failed(f"The process {how}.")

    def _failed(self, error: str) -> Outcome:
        return Outcome(self.job.key, time.monotonic() - self.began, error=error, log=self._written())

    def _written(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-TAIL:] if self.log.exists() else ""


def _signal(number: int) -> str:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"{name}, as the system does where memory runs out" if name == "SIGKILL" else name


def _environment(settings: Settings) -> dict[str, str]:
    """Returns the variables of a process, the cores of the machine shared out."""
    return environment(settings.threads or max(1, (os.cpu_count() or 1) // settings.workers), settings.workers)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Begins processes that do not hear Ctrl-C, which goes to all of the terminal: who began them ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would hear it again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the process -----------------------------------------------------------------------------------------


def _work(pipe: pipes.Connection, place: str, log: str, environment: dict[str, str]) -> None:
    """Evaluates jobs until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write_to(written)
    try:
        function = found(place)
    except PruneError as error:
        pipe.send(str(error))
        return
    pipe.send("ready")
    while (job := pipe.recv()) is not None:
        os.ftruncate(written, 0)
        outcome = evaluated(function, job)
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send(outcome)


def _end_with_the_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
