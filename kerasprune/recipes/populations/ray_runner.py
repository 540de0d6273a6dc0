"""Evaluates candidates on a Ray cluster; the candidate of a lost worker is given to another."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasprune.errors import PruneError, extras, warn
from kerasprune.recipes.populations.engine import CandidateFunction, Job, Outcome, Settings
from kerasprune.recipes.populations.worker_process import (
    Worker,
    WorkerPool,
    begin,
    environment,
    find_function,
    place_of,
    record_outcome,
)

WORKERS_LOST = 3  # by one candidate, which then has failed: it may be the cause


class RayRunner(WorkerPool):
    """An engine of actors on a Ray cluster: the one that the script has joined, or one of this machine's cores.

    If a worker is lost (killed, out of memory, its machine gone), another one evaluates its candidate, which counts as
    one attempt; an exception of a candidate is kept as its error. A script joins a cluster with
    `ray.init(address=…)` before, or by the variable `RAY_ADDRESS`. Every other machine needs kerasprune, and the module
    of the function: `ray.init(runtime_env={"working_dir": "."})` sends the files of this folder. A function of the
    script itself is sent along.

    Args:
        function: A function at the top level of a module or of the script, or its address.
        settings: Workers at a time, the cores that each reserves (those of the cluster, shared out), and when to give
            up: waiting for cores does not count.

    Raises:
        PruneError: Ray is not installed.
    """

    @extras("engine='ray'")
    def __init__(self, function: str | CandidateFunction, settings: Settings) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
        import ray

        super().__init__(settings)
        self._ray = ray
        carried = _carried(ray, function)
        self._joined = not ray.is_initialized()
        if self._joined:
            ray.init(log_to_driver=False)
        cores, accelerators = _share(ray, settings)
        variables = environment(settings.threads or max(1, int(cores)), settings.workers)
        self._actors = ray.remote(num_cpus=cores, num_gpus=accelerators)(_Evaluator)
        self._arguments = (carried, variables, [place or os.getcwd() for place in sys.path])
        self._lost: Counter[str] = Counter()

    def close(self) -> None:
        """Ends all workers, also in the middle of a job, and leaves a cluster that was joined here."""
        for worker in list(self._workers):
            self._release_worker(worker)
        if self._joined:
            self._ray.shutdown()

    def _start_worker(self) -> _RayWorker:
        actor = self._actors.remote(*self._arguments)
        worker = _RayWorker(self._settings.timeout, self._settings.per_process, actor, actor.ready.remote())
        self._workers.append(worker)
        return worker

    def _release_worker(self, worker: _RayWorker) -> None:
        self._workers.remove(worker)
        self._ray.kill(worker.actor)

    def _wait_for_messages(self, busy: list[_RayWorker], patience: float | None) -> list[_RayWorker]:
        ready, _ = self._ray.wait([worker.awaited for worker in busy], timeout=patience)
        return [worker for worker in busy if worker.awaited in ready]

    def _read_message(self, worker: _RayWorker) -> Outcome | None:
        """Returns the outcome of a worker's job; `None` if the job only begins, here or elsewhere."""
        try:
            message = self._ray.get(worker.awaited)
        except self._ray.exceptions.RayError as error:
            return self._replaced(worker, error)
        if not worker.ready:
            if message is not None:
                raise PruneError(message)
            worker.begin()
            return None
        worker.job, worker.left = None, worker.left - 1
        if worker.left == 0:
            self._release_worker(worker)
        return message

    def _end_late_worker(self, worker: _RayWorker, error: str) -> Outcome:
        self._release_worker(worker)
        return worker.failed(error)

    def _replaced(self, worker: _RayWorker, error: Exception) -> Outcome | None:
        """Gives the job of a lost worker to another one; returns a failed outcome if too many were lost."""
        self._release_worker(worker)
        self._lost[worker.job.key] += 1
        if self._lost[worker.job.key] < WORKERS_LOST:
            self._start_worker().take(worker.job)
            return None
        if not worker.ready:
            raise PruneError(
                f"Expected workers that import kerasprune and the function. Received: {WORKERS_LOST} that were lost "
                f"before ({error}). Install kerasprune on every machine of the cluster."
            )
        self._lost[worker.job.key] = 0
        return worker.failed(f"{WORKERS_LOST} workers were lost in the middle of it, one after another.", str(error))


@dataclass(eq=False)
class _RayWorker(Worker):
    """An actor and its job."""

    actor: Any
    awaited: Any  # its next answer: ready, or an outcome

    def take(self, job: Job) -> None:
        self.job, self.began = job, time.monotonic()
        if self.ready:
            self.begin()

    def begin(self) -> None:
        self.ready, self.began = True, time.monotonic()
        self.awaited = self.actor.evaluate.remote(self.job)


def _carried(ray: Any, function: str | CandidateFunction) -> str | bytes:
    """Returns the address of a function; a function of the script, which no other process imports, is pickled."""
    of_the_script = not isinstance(function, str) and function.__module__ == "__main__"
    return ray.cloudpickle.dumps(function) if of_the_script else place_of(function)


def _share(ray: Any, settings: Settings) -> tuple[float, float]:
    """Returns the cores, and the part of a GPU, that each worker reserves."""
    resources = ray.cluster_resources()
    cores, accelerators = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    largest = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
    if settings.threads is not None and settings.threads > largest:
        warn(
            f"No machine of the cluster has threads={settings.threads} cores now, the largest has {largest:g}: the "
            "candidates wait until there is one. Give fewer threads, or Ctrl-C."
        )
    part = 1 / math.ceil(settings.workers / accelerators) if accelerators else 0.0
    if settings.threads is not None:
        return settings.threads, part
    share = cores / settings.workers if cores else 1.0
    share = min(share, largest) if largest else share
    return (math.floor(share) if share >= 1 else math.floor(share * 1e4) / 1e4), part


# ---- in the process -----------------------------------------------------------------------------------------


class _Evaluator:
    """Evaluates jobs, one after another."""

    def __init__(self, carried: str | bytes, variables: Mapping[str, str], places: Sequence[str]) -> None:
        self._carried, self._variables, self._places = carried, variables, places

    def ready(self) -> str | None:
        """Loads the function; returns an error message or `None`."""
        # Workers on the machine of the script find its modules too.
        sys.path += [place for place in self._places if place not in sys.path and os.path.exists(place)]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the process writes
        begin(self._log.fileno(), self._variables)
        if isinstance(self._carried, bytes):
            from ray import cloudpickle

            self._function = cloudpickle.loads(self._carried)
            return None
        try:
            self._function = find_function(self._carried)
        except PruneError as error:
            return f"{error} On other machines it has to be there too: ray.init(runtime_env={{'working_dir': '.'}})."
        return None

    def evaluate(self, job: Job) -> Outcome:
        """Returns the outcome of a job; a failed one with the end of the output."""
        return record_outcome(self._function, job, self._log.fileno())
