"""A point in training: `"500it"` (steps), `"10ep"` (epochs), or both."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kerasprune.errors import PruneError, raise_faults, whole_number_faults

READ = "Read a text with kp.schedules.Moment.read."
"""The remedy for a point in training that is not a `Moment`."""


@dataclass(frozen=True)
class Moment:
    """A point in training: a number of epochs and steps.

    Example:
        >>> Moment.read("2ep").steps(steps_per_epoch=50)
        100
    """

    epochs: int = 0
    iterations: int = 0

    def __post_init__(self) -> None:
        faults = whole_number_faults(0, epochs=self.epochs, iterations=self.iterations)
        raise_faults("Invalid arguments for Moment:", faults)

    def __str__(self) -> str:
        epochs = f"{self.epochs}ep" if self.epochs else ""
        return epochs if epochs and not self.iterations else f"{epochs}{self.iterations}it"

    @classmethod
    def read(cls, text: str | int | Moment) -> Moment:
        """Reads `"500it"`, `"10ep"` or `"2ep50it"`; a plain number counts steps."""
        if isinstance(text, Moment):
            return text
        if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
            return cls(iterations=text)
        match = re.fullmatch(r"(?:(\d+)ep)?(?:(\d+)it)?", text) if isinstance(text, str) and text else None
        if match is None:
            raise PruneError(f"Expected a point in training such as '500it', '10ep' or '2ep50it'. Received: {text!r}.")
        return cls(int(match[1] or 0), int(match[2] or 0))

    def steps(self, steps_per_epoch: int) -> int:
        """Returns the point as a number of steps."""
        return self.epochs * steps_per_epoch + self.iterations
