"""Published figures, recomputed: the table of entries, and the verdict on each.

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


@dataclass(frozen=True)
class Outcome:
    """What came out of an entry.

    Args:
        name: Name of the entry.
        rows: Its rows; empty where it was not run.
        reason: Why it was not run. Defaults to nothing.
    """

    name: str
    rows: Sequence[Row]
    reason: str = ""

    @property
    def verdict(self) -> str:
        """`"agrees"`, `"differs"`, or `"not run (reason)"`."""
        if self.reason or not self.rows:
            return f"not run ({self.reason or 'no rows'})"
        return "agrees" if all(row.agrees for row in self.rows) else "differs"


def add(name: str) -> Callable[[Callable[[], Sequence[Row]]], Callable[[], Sequence[Row]]]:
    """Returns a decorator that makes a function without arguments an entry of that name."""
    return entries.add(name)


def names() -> list[str]:
    """Returns the names of all entries, sorted."""
    _gather()
    return entries.names()


def describe(name: str) -> str:
    """Returns the first line of an entry's docstring."""
    _gather()
    return (entries.member(name).__doc__ or "").strip().split("\n")[0]


def reproduce(name: str) -> Outcome:
    """Computes an entry.

    Args:
        name: One of `names()`.

    Returns:
        Its rows and its verdict.

    Raises:
        PruneError: There is no such entry.
    """
    _gather()
    entry = entries.member(name)
    try:
        return Outcome(name, tuple(entry()))
    except NotRun as reason:
        return Outcome(name, (), str(reason))


def _gather() -> None:
    # The entries import this module, so it imports them only when it is asked for them.
    from kerasprune.recipes import reproductions

    assert reproductions.__all__
