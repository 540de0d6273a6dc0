"""The interface between a population and its workers, and the engine of one process."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from kerasprune.errors import PruneError
from kerasprune.registry import import_address

CandidateFunction = Callable[..., Any]
"""Evaluates a candidate, whose values are its arguments."""


@dataclass(frozen=True)
class Job:
    """One candidate to evaluate.

    Args:
        key: Its key in the store.
        arguments: Keyword arguments, plain data.
    """

    key: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Args:
        key: The key of the job.
        seconds: Its duration.
        result: The returned value, plain data. Defaults to `None`.
        error: The error in place of a result, a sentence. Defaults to `None`.
        log: The end of the output, and the traceback. Defaults to none.
    """

    key: str
    seconds: float
    result: Any = None
    error: str | None = None
    log: str = ""


@dataclass(frozen=True)
class Settings:
    """Settings of an engine.

    Args:
        workers: Processes at a time.
        threads: Threads of each process, or `None`: the cores of the machine, shared out.
        timeout: Seconds after which a candidate is given up, or `None`: never.
        per_process: Candidates that one process evaluates before a fresh one takes its place.
    """

    workers: int = 1
    threads: int | None = None
    timeout: float | None = None
    per_process: int = 1


class Engine(Protocol):
    """Evaluates jobs, several at a time; made with `(function, settings)`, and idle until the first job."""

    def __init__(self, function: str | CandidateFunction, settings: Settings) -> None: ...

    @property
    def free(self) -> int:
        """Number of jobs that can be started now."""

    def start(self, job: Job) -> None:
        """Begins a job, and does not wait for it."""

    def wait(self) -> list[Outcome]:
        """Waits until a job has ended; returns the outcomes of all that have."""

    def close(self) -> None:
        """Ends all running jobs."""


def address_of(function: str | CandidateFunction) -> str:
    """Returns `"module:name"` of a function, the same in every process.

    Args:
        function: A function, or its address.

    Raises:
        PruneError: It is neither, or a function without an address.

    Example:
        >>> import json
        >>> address_of(json.dumps)
        'json:dumps'
    """
    if isinstance(function, str):
        module, colon, name = function.partition(":")
        if colon and all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
            return function
        raise PruneError(f"Expected the address of a function as 'package.module:function'. Received: {function!r}.")
    name = getattr(function, "__qualname__", "")
    if not callable(function) or not name or "<" in name:
        raise PruneError(
            "Expected a function at the top level of a module, so that other processes find it: no lambda, no function "
            f"inside a function, no bound arguments. Received: function={function!r}."
        )
    return f"{_module(function.__module__)}:{name}"


def _module(name: str) -> str:
    """Returns the name of a module; for the script that runs, that of its file."""
    main = sys.modules["__main__"]
    if name != "__main__":
        return name
    if getattr(main, "__spec__", None) is not None:
        return main.__spec__.name
    return Path(getattr(main, "__file__", "__main__")).stem


def evaluate_job(function: str | CandidateFunction, job: Job) -> Outcome:
    """Calls the function of a job in this process; an exception becomes the error of the outcome."""
    began = time.perf_counter()
    try:
        call = import_address(function) if isinstance(function, str) else function
        result, error, log = plain(call(**job.arguments)), None, ""
    except (Exception, SystemExit) as raised:  # the function is the user's
        result, error, log = None, f"{type(raised).__name__}: {raised}".rstrip(": "), traceback.format_exc()
    return Outcome(job.key, time.perf_counter() - began, result, error, log)


def plain(value: Any, other: Callable[[Any], Any] | None = None) -> Any:
    """Returns a value as plain JSON data: numbers and arrays of NumPy become numbers and lists.

    Args:
        value: The value.
        other: Returns a substitute for values of other kinds, NaN and infinity. Defaults to `None`: other kinds are
            refused, NaN and infinity kept.

    Raises:
        PruneError: It is of another kind.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, other) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, other) for item in value]
    if other is not None and isinstance(value, float) and not isfinite(value):
        return other(float(value))
    if value is None or isinstance(value, bool | int | float | str):
        return json.loads(json.dumps(value))  # NumPy's float64 is a float, too
    if isinstance(value, Path):
        return str(value)
    if type(value).__module__.partition(".")[0] == "numpy" and callable(getattr(value, "tolist", None)):
        return plain(value.tolist(), other)
    if other is not None:
        return other(value)
    raise PruneError(
        "Expected numbers, texts, lists and dicts of them from and for a candidate. "
        f"Received: {type(value).__name__}. Save larger results to a file, and return its path."
    )


class SerialRunner:
    """An engine without processes: a candidate that crashes Python takes the whole run with it.

    Args:
        function: The function, or its address.
        settings: Not used: there is one worker, and no timeout.
    """

    def __init__(self, function: str | CandidateFunction, settings: Settings) -> None:
        del settings
        self._function = function
        self._job: Job | None = None

    @property
    def free(self) -> int:
        """Number of jobs that can be started now."""
        return int(self._job is None)

    def start(self, job: Job) -> None:
        """Accepts a job."""
        self._job = job

    def wait(self) -> list[Outcome]:
        """Evaluates the job and returns its outcome."""
        job, self._job = self._job, None
        return [evaluate_job(self._function, job)]

    def close(self) -> None:
        """Does nothing: the engine has no processes."""
