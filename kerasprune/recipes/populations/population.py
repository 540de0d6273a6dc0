"""Evaluates many candidates in several processes, each once, even if processes are killed."""

from __future__ import annotations

import inspect
import json
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kerasprune.checks import given_values, kind_faults, positive_faults, whole_number_faults
from kerasprune.errors import raise_faults, warn
from kerasprune.files import write_rows
from kerasprune.files.writing import claim_store
from kerasprune.recipes.populations.candidate_store import CandidateStore, Evaluation, key_of
from kerasprune.recipes.populations.engine import (
    CandidateFunction,
    Engine,
    Job,
    SerialRunner,
    Settings,
    address_of,
    plain,
)
from kerasprune.recipes.populations.meter import Meter
from kerasprune.registry import Registry

engines = Registry(
    "engine",
    {
        "local": "kerasprune.recipes.populations.local_runner:LocalRunner",
        "ray": "kerasprune.recipes.populations.ray_runner:RayRunner",
        "serial": SerialRunner,
    },
)

OF_THE_STORE = ("state", "error", "attempts", "seconds")


class Population:
    """Evaluates candidates, each once, and stores the results in one file.

    A candidate is a function with arguments, identified by the hash `sha256(module:name, arguments, version)`, where
    the version is yours to choose. Stored candidates are not evaluated again, so an interrupted, killed or extended run
    resumes where it stopped. A candidate that raises, crashes or is killed is stored with its error; the others
    continue.

    Args:
        path: The SQLite file of the results. It is created if missing.
        engine: `"local"`: fresh processes on this machine; `"serial"`: one candidate after another in this process,
            for tests and debuggers; `"ray"`: workers of a Ray cluster, `kerasprune.recipes.populations.ray_runner`; or
            a class with the methods of `kerasprune.recipes.populations.engine.Engine`. Defaults to `"local"`.
        workers: Number of simultaneous processes. Defaults to 1.
        threads: Threads per process. Defaults to `None`: the machine's cores, divided among the processes. Environment
            variables that are already set, such as `OMP_NUM_THREADS`, take precedence.
        timeout: Seconds after which a candidate is aborted. Defaults to `None`: never.
        per_process: Candidates that one process evaluates before a fresh one replaces it. Values above 1 save imports
            of TensorFlow, but memory leaks add up. Defaults to 1.
        verbose: 0: silent; 1: a bar on a terminal, a line for each candidate elsewhere. Defaults to 1.

    Raises:
        PruneError: An argument is out of range, or the file at `path` is not such a store.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> population = Population(Path(tempfile.mkdtemp()) / "means.sqlite", engine="serial", verbose=0)
        >>> rows = population.run("statistics:fmean", [{"data": [1, 2]}, {"data": [3, 5]}])
        >>> [row["result"] for row in rows]
        [1.5, 4.0]
    """

    def __init__(
        self,
        path: str | Path,
        *,
        engine: str | type[Engine] = "local",
        workers: int = 1,
        threads: int | None = None,
        timeout: float | None = None,
        per_process: int = 1,
        verbose: int = 1,
    ) -> None:
        faults = whole_number_faults(1, workers=workers, per_process=per_process, **given_values(threads=threads))
        faults += positive_faults(**given_values(timeout=timeout))
        if not isinstance(engine, str | type):
            faults.append(f"Expected engine to be {' or '.join(engines.names())}, or a class. Received: {engine!r}.")
        raise_faults("Invalid arguments for Population:", faults)
        self._engine = engines.member(engine) if isinstance(engine, str) else engine
        self._settings = Settings(workers, threads, timeout, per_process)
        self._store = CandidateStore(path)
        self._verbose = verbose

    def run(
        self,
        function: str | CandidateFunction,
        candidates: Iterable[Mapping[str, Any]],
        *,
        version: str = "",
        retries: int = 0,
    ) -> list[dict[str, Any]]:
        """Evaluates the candidates that the store does not have.

        Args:
            function: A function at the top level of a module, or its address `"package.module:function"`. It returns
                numbers, texts, lists and dicts of them; the items of a dict become columns of the table.
            candidates: The keyword arguments of each candidate, of the same kinds.
            version: Change it when the function has changed: other versions are other candidates. Defaults to `""`.
            retries: How often a candidate that failed is tried again, earlier runs included. Defaults to 0.

        Returns:
            One row per candidate in the order given: its arguments, its results, `state` (`"done"` or `"failed"`),
            `error`, `attempts`, `seconds`. Where a result has the name of an argument, or either the name of one of
            these columns, its column is `result_…` or `argument_…`.

        Raises:
            PruneError: Arguments do not fit; processes cannot import the function; another process fills the store.
        """
        address = address_of(function)
        jobs = _jobs(function, address, candidates, version)
        faults = whole_number_faults(0, retries=retries) + kind_faults(str, "Any text will do.", version=version)
        raise_faults("Invalid arguments for Population.run:", faults)
        engine = self._engine(function, self._settings)
        try:
            with claim_store(self._store.path):
                self._evaluate(engine, address, version, {job.key: job for job in jobs}, retries)
        finally:
            engine.close()
        found = self._store.read(job.key for job in jobs)
        failed = [one for one in found.values() if one.error]
        if failed:
            warn(
                f"{len(failed)} of {len(found)} candidates failed, the first with: {failed[0].error}\n"
                "See population.failures(); a higher retries=, or population.forget_failures(), tries them again."
            )
        return [_row(found[job.key]) for job in jobs]

    def _evaluate(self, engine: Engine, address: str, version: str, jobs: dict[str, Job], retries: int) -> None:
        """Evaluates the jobs that the store lacks, and failed ones that may be tried again."""
        known = self._store.read(jobs)
        attempts = {key: known[key].attempts if key in known else 0 for key in jobs}
        done = {key for key, one in known.items() if not one.error or one.attempts > retries}
        waiting = deque(job for key, job in jobs.items() if key not in done)
        meter = Meter(len(jobs), len(jobs) - len(waiting), self._verbose)
        running: dict[str, Job] = {}
        try:
            while waiting or running:
                while waiting and engine.free:
                    job = waiting.popleft()
                    running[job.key] = job
                    engine.start(job)
                for outcome in engine.wait():
                    job = running.pop(outcome.key)
                    attempts[job.key] += 1
                    self._store.write(address, version, job.arguments, outcome, attempts[job.key])
                    if outcome.error and attempts[job.key] <= retries:
                        waiting.append(job)
                    else:
                        meter.advance(bool(outcome.error), outcome.error)
        finally:
            meter.close()

    def table(self) -> list[dict[str, Any]]:
        """Returns one row for each candidate of the store, of all functions and versions, as `run` does."""
        return [_row(one) for one in self._store.read().values()]

    def save(self, path: str | Path) -> Path:
        """Writes the table as a CSV file; lists and dicts are written as JSON.

        Args:
            path: The file. One that is there is replaced.

        Returns:
            The path.
        """
        rows = [
            {name: json.dumps(cell) if isinstance(cell, list | dict) else cell for name, cell in row.items()}
            for row in self.table()
        ]
        return write_rows(path, rows)

    def failures(self) -> list[Evaluation]:
        """Returns the candidates that failed; `.log` of each has its traceback and the end of its output."""
        return [one for one in self._store.read().values() if one.error]

    def forget_failures(self) -> int:
        """Removes the failures from the store, so that the next run retries them; returns their number."""
        with claim_store(self._store.path):
            return self._store.forget_failures()


def _jobs(
    function: str | CandidateFunction, address: str, candidates: Iterable[Mapping[str, Any]], version: str
) -> list[Job]:
    """Returns the candidates with their keys; all that do not fit are named at once."""
    jobs, faults = [], []
    for number, candidate in enumerate(candidates):
        wrong = kind_faults(Mapping, "Give the keyword arguments of the function.", candidate=candidate)
        wrong = wrong or _argument_faults(function, candidate)
        if not wrong:
            try:
                arguments = plain(candidate)
                jobs.append(Job(key_of([address, arguments, version]), arguments))
            except ValueError as error:  # a PruneError, too
                wrong = [f"{error} Received: {candidate!r}."]
        faults += [f"candidate {number}: {fault}" for fault in wrong]
    raise_faults("Invalid arguments for Population.run:", faults)
    return jobs


def _argument_faults(function: str | CandidateFunction, candidate: Mapping[str, Any]) -> list[str]:
    """Returns the faults of arguments by the signature of a function; those of an address are not checked."""
    if isinstance(function, str):
        return []
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return []
    try:
        signature.bind(**candidate)
    except TypeError as error:
        return [f"Expected the arguments {signature}. Received: {dict(candidate)!r} ({error})."]
    return []


def _row(evaluation: Evaluation) -> dict[str, Any]:
    result = evaluation.result
    results = result if isinstance(result, dict) else {} if evaluation.error else {"result": result}
    row = {f"argument_{name}" if name in OF_THE_STORE else name: item for name, item in evaluation.arguments.items()}
    for name, item in results.items():
        row[f"result_{name}" if name in OF_THE_STORE or name in evaluation.arguments else name] = item
    state = "failed" if evaluation.error else "done"
    facts = (state, evaluation.error, evaluation.attempts, evaluation.seconds)
    return {**row, **dict(zip(OF_THE_STORE, facts, strict=True))}
