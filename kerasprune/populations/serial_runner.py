"""Candidates one after another in this process: for tests, debuggers, and functions that take a moment."""

from __future__ import annotations

from kerasprune.populations.engine import Candidate, Job, Outcome, Settings, evaluated


class SerialRunner:
    """An engine without processes: a candidate that crashes Python takes the whole run with it.

    Args:
        function: The function, or its address.
        settings: Not used: there is one worker, and nobody who could give a candidate up.
    """

    def __init__(self, function: str | Candidate, settings: Settings) -> None:
        del settings
        self._function = function
        self._job: Job | None = None

    @property
    def free(self) -> int:
        """How many jobs can be started now."""
        return int(self._job is None)

    def start(self, job: Job) -> None:
        """Takes a job on."""
        self._job = job

    def wait(self) -> list[Outcome]:
        """Evaluates it."""
        job, self._job = self._job, None
        return [evaluated(self._function, job)]

    def close(self) -> None:
        """Nothing is left running."""
