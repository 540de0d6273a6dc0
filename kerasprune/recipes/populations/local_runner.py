"""Evaluates candidates in new processes of this machine: a crash or hang does not affect the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection as pipes
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from kerasprune.backend.process_death import cause_of_death, remedy_of_death
from kerasprune.errors import PruneError
from kerasprune.recipes.populations.engine import CandidateFunction, Job, Outcome, Settings
from kerasprune.recipes.populations.worker_process import (
    TAIL,
    Worker,
    WorkerPool,
    begin,
    environment,
    find_function,
    place_of,
    record_outcome,
)

PREFIX = "candidates-"  # of the names of processes
_PATIENCE = 5  # seconds that a process has to end by itself
_SPAWN = multiprocessing.get_context("spawn")  # a fork would share TensorFlow's threads and locks, and hang


class LocalRunner(WorkerPool):
    """An engine of spawned processes.

    Args:
        function: A function at the top level of a module, or its address.
        settings: Number of processes, threads of each, and timeout.

    Raises:
        PruneError: This process is itself one that evaluates candidates.
    """

    def __init__(self, function: str | CandidateFunction, settings: Settings) -> None:
        if multiprocessing.current_process().name.startswith(PREFIX):
            raise PruneError(
                "Expected to start processes from the script only. Received: a script that does so when it is "
                "imported, which every process does. Put the call below \"if __name__ == '__main__':\"."
            )
        super().__init__(settings)
        self._place = place_of(function)
        self._logs = Path(tempfile.mkdtemp(prefix="kerasprune-"))
        self._ending: list[_LocalWorker] = []
        self._begun = 0

    def start(self, job: Job) -> None:
        """Hands a job to an idle process, or to a new one."""
        self._workers = [one for one in self._workers if one.job is not None or one.process.is_alive()]
        super().start(job)

    def close(self) -> None:
        """Ends all processes, also in the middle of a job."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in [*self._workers, *self._ending]:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        shutil.rmtree(self._logs, ignore_errors=True)

    def _start_worker(self) -> _LocalWorker:
        threads, workers = self._settings.threads, self._settings.workers
        variables = environment(threads or max(1, (os.cpu_count() or 1) // workers), workers)
        ours, theirs = _SPAWN.Pipe()
        log = self._logs / f"{self._begun}.log"
        process = _SPAWN.Process(
            target=_work, args=(theirs, self._place, str(log), variables), name=f"{PREFIX}{log.stem}"
        )
        with _interrupts_blocked():
            process.start()
        theirs.close()
        self._begun += 1
        worker = _LocalWorker(self._settings.timeout, self._settings.per_process, process, ours, log)
        self._workers.append(worker)
        return worker

    def _wait_for_messages(self, busy: list[_LocalWorker], patience: float | None) -> list[_LocalWorker]:
        ready = pipes.wait([handle for one in busy for handle in (one.pipe, one.process.sentinel)], patience)
        return [one for one in busy if one.pipe in ready or one.process.sentinel in ready]

    def _read_message(self, worker: _LocalWorker) -> Outcome | None:
        try:
            message = worker.pipe.recv() if worker.pipe.poll() else worker.ended()
        except (EOFError, OSError):
            message = worker.ended()
        if message == "ready":
            worker.ready, worker.began = True, time.monotonic()
            return None
        if isinstance(message, str):
            raise PruneError(message)
        self._release_worker(worker)
        return message

    def _end_late_worker(self, worker: _LocalWorker, error: str) -> Outcome:
        worker.process.kill()
        worker.process.join()
        outcome = worker.failed(error, worker.written())
        self._release_worker(worker)
        return outcome

    def _release_worker(self, worker: _LocalWorker) -> None:
        """Takes the job from a process, and ends the process after its last job."""
        worker.job = None
        worker.left -= 1
        if worker.left > 0 and worker.process.is_alive():
            return
        self._workers.remove(worker)
        self._ending = [one for one in self._ending if one.process.is_alive()]
        worker.send(None)
        self._ending.append(worker)


@dataclass(eq=False)
class _LocalWorker(Worker):
    """A process and its job."""

    process: Any
    pipe: pipes.Connection
    log: Path

    def take(self, job: Job) -> None:
        self.job, self.began = job, time.monotonic()
        self.send(job)

    def send(self, message: Job | None) -> None:
        with contextlib.suppress(OSError):  # its process has ended, which `_read_message` reports
            self.pipe.send(message)

    def written(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-TAIL:] if self.log.exists() else ""

    def ended(self) -> Outcome:
        """Returns the outcome of the job of a process that has ended."""
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        cause = "it has not ended" if code is None else cause_of_death(code)
        if not self.ready:
            raise PruneError(
                f"Expected a process that imports the function. Received: one that died before: {cause}. Its "
                "output follows; run the function by itself, or with engine='serial'.\n" + self.written()
            )
        remedy = "" if code is None else remedy_of_death(code)
        return self.failed(f"Its process died: {cause}. {remedy}".rstrip(), self.written())


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Starts processes that ignore Ctrl-C: the terminal sends it to all, but the parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the process -----------------------------------------------------------------------------------------


def _work(pipe: pipes.Connection, place: str, log: str, variables: dict[str, str]) -> None:
    """Evaluates jobs until `None` arrives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    begin(file, variables)
    try:
        function = find_function(place)
    except PruneError as error:
        pipe.send(str(error))
        return
    pipe.send("ready")
    while (job := pipe.recv()) is not None:
        pipe.send(record_outcome(function, job, file))


def _end_with_the_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
