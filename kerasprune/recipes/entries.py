"""The table of published figures that can be recomputed.

An entry is a function without arguments that returns rows, in a file of its own below `reproductions/`. It is
known by the name that it is added under. It raises `NotRun` where this machine lacks what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kerasprune.registry import Registry

entries = Registry("reproduction")


class NotRun(Exception):
    """An entry cannot be computed here; the message says why."""


@dataclass(frozen=True)
class Row:
    """One published figure beside ours.

    Args:
        what: What is compared, e.g. `"ResNet-56 r=0.5, speed-up"`.
        paper: The published figure.
        ours: The recomputed figure.
        tolerance: Largest difference that still agrees, in the unit of the figures.
        unit: Printed after the figures. Defaults to nothing.
    """

    what: str
    paper: float
    ours: float
    tolerance: float
    unit: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance; a figure that is not a number is not."""
        # Published figures are decimals: 1.50 − 1.49 is within 0.01, whatever binary fractions make of it.
        return abs(self.ours - self.paper) <= self.tolerance * (1 + 1e-9)


def add(name: str) -> Callable[[Callable[[], Sequence[Row]]], Callable[[], Sequence[Row]]]:
    """Returns a decorator that makes a function without arguments an entry of that name."""
    return entries.add(name)
