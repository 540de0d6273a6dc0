"""The table of published figures that can be recomputed.

An entry is a function without arguments that returns rows, in a file of its own below `reproductions/`. It is
known by the name that it is added under. It raises `NotRun` if this machine lacks what it needs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kerasprune.registry import reproductions as entries


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

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """What is printed: what, the published figure, ours, what is allowed, the verdict."""
        verdict = "agrees" if self.agrees else "differs"
        return self.what, f"{self.paper:g}{self.unit}", f"{self.ours:.4g}{self.unit}", f"±{self.tolerance:.2g}", verdict


class AtMost(Row):
    """One of our figures against a bound that is not a published figure.

    Args:
        what: What is bounded.
        bound: The bound.
        ours: The figure.
        unit: Printed after the figures. Defaults to nothing.
    """

    _sign = "≤"

    def __init__(self, what: str, bound: float, ours: float, unit: str = "") -> None:
        super().__init__(what, bound, ours, 0.0, unit)

    @property
    def agrees(self) -> bool:
        """Whether the figure is within the bound."""
        return self.ours <= self.paper

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """What is printed; there is no published figure."""
        what, _, ours, _, verdict = super().cells
        return what, "–", ours, f"{self._sign} {self.paper:.3g}", verdict


class AtLeast(AtMost):
    """As `AtMost`, the bound being the least."""

    _sign = "≥"

    @property
    def agrees(self) -> bool:
        """Whether the figure reaches the bound."""
        return self.ours >= self.paper


@dataclass(frozen=True)
class Note(Row):
    """Something to be seen beside a published figure, but not judged: figures as text.

    Args:
        what: What it is.
        paper: What the paper says.
        ours: What was found here.
    """

    paper: str
    ours: str
    tolerance: float = math.inf

    @property
    def agrees(self) -> bool:
        """Always: it is not judged."""
        return True

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """What is printed."""
        return self.what, self.paper, self.ours, "–", "noted"


def about(text: str) -> Callable[[Callable[[], Sequence[Row]]], Callable[[], Sequence[Row]]]:
    """Returns a decorator that says what is printed of an entry; of one without it, its docstring is.

    Args:
        text: A line for the list of entries; then, after an empty line, what is to be known of the figures.
    """

    def decorate(entry: Callable[[], Sequence[Row]]) -> Callable[[], Sequence[Row]]:
        entry.about = inspect.cleandoc(text)  # a docstring is gone under python -OO
        return entry

    return decorate


@dataclass(frozen=True)
class Reproduced:
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


def describe(name: str) -> str:
    """Returns the first line of what is said of an entry."""
    return _said(name).partition("\n")[0]


def comment(name: str) -> str:
    """Returns what else is said of an entry's figures; empty if nothing is."""
    return _said(name).partition("\n")[2].strip()


def _said(name: str) -> str:
    entry = entries.member(name)
    return getattr(entry, "about", None) or inspect.cleandoc(entry.__doc__ or "").split("\nReference:")[0]


def reproduce(name: str) -> Reproduced:
    """Computes an entry.

    Args:
        name: One of `entries.names()`.

    Returns:
        Its rows and its verdict.

    Raises:
        PruneError: There is no such entry.
    """
    entry = entries.member(name)
    try:
        return Reproduced(name, tuple(entry()))
    except NotRun as reason:
        return Reproduced(name, (), str(reason))
