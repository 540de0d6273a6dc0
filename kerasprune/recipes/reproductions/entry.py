"""Published figures that can be recomputed.

An entry is a registered function without arguments that returns rows. It raises `NotRun` if it cannot be computed on
this machine. Entries count or solve, and take seconds; one that trains networks is a `TrainingEntry`.
"""

from __future__ import annotations

import functools
import inspect
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kerasprune.recipes.registry import reproductions as entries
from kerasprune.registry import docstring_of

Entry = Callable[[], Iterable["Row"]]


HEADS = ("what", "paper", "ours", "tolerance", "")
"""Heads of the cells of a row."""


class NotRun(Exception):
    """An entry cannot be computed here; the message says why."""


@dataclass(frozen=True)
class Row:
    """One published figure compared with ours.

    Args:
        what: The figure, e.g. `"ResNet-56 r=0.5, speed-up"`.
        paper: The published figure.
        ours: The recomputed figure.
        tolerance: Largest difference that still agrees, in the unit of the figures.
        unit: Printed after the figures. Defaults to nothing.
        known: Reason why the figures differ, printed below the table. Defaults to nothing: they agree.
    """

    what: str
    paper: float
    ours: float
    tolerance: float
    unit: str = ""
    known: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance; false for NaN."""
        # Published figures are decimals: 1.50 − 1.49 is within 0.01, in spite of binary rounding.
        return abs(self.ours - self.paper) <= self.tolerance * (1 + 1e-9)

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The printed cells: what, the published figure, ours, the tolerance, the verdict."""
        verdict = "agrees" if self.agrees else "differs"
        return self.what, f"{self.paper:g}{self.unit}", f"{self.ours:.4g}{self.unit}", f"±{self.tolerance:.2g}", verdict


class AtMost(Row):
    """One of our figures against a bound that is not a published figure.

    Args:
        what: The figure.
        bound: The bound.
        ours: The figure.
        unit: Printed after the figures. Defaults to nothing.
    """

    def __init__(self, what: str, bound: float, ours: float, unit: str = "") -> None:
        super().__init__(what, bound, ours, 0.0, unit)

    @property
    def agrees(self) -> bool:
        """Whether the figure is within the bound."""
        return self.ours <= self.paper

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The printed cells, without a published figure."""
        what, _, ours, _, verdict = super().cells
        return what, "–", ours, f"≤ {self.paper:.3g}", verdict


class PairedRow(Row):
    """Differences between pairs of trainings, and a published difference: do their signs agree?

    Args:
        what: The difference.
        paper: The published one.
        differences: Ours, one of each seed.
        known: As for `Row`. Defaults to nothing.
    """

    def __init__(self, what: str, paper: float, differences: Sequence[float], known: str = "") -> None:
        mean = statistics.fmean(differences)
        several = len(differences) > 1
        error = statistics.stdev(differences) / math.sqrt(len(differences)) if several else math.inf
        super().__init__(what, paper, mean, 2 * error, " points", known)

    @property
    def judgement(self) -> str:
        """`"agrees"` or `"differs"` in the sign; `"cannot tell"` within two standard errors of zero."""
        if not abs(self.ours) > self.tolerance:
            return "cannot tell"
        return "agrees" if self.ours * self.paper > 0 else "differs"

    @property
    def agrees(self) -> bool:
        """Whether the sign does not contradict the published one."""
        return self.judgement != "differs"

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The printed cells, with two standard errors."""
        if math.isinf(self.tolerance):  # of one pair
            return self.what, f"{self.paper:+g}{self.unit}", f"{self.ours:+.2f}{self.unit}", "–", self.judgement
        ours = f"{self.ours:+.2f} ± {self.tolerance / 2:.2f}{self.unit}"
        return self.what, f"{self.paper:+g}{self.unit}", ours, f"2 s.e. {self.tolerance:.2g}", self.judgement


class Claim(PairedRow):
    """Differences between pairs of trainings, and a statement without a figure.

    `"higher"` and `"lower"` are judged by the sign, as by `PairedRow`. `"no lower"` agrees if a loss of `MARGIN` is two
    standard errors away, and differs if a loss is.

    Args:
        what: The difference.
        claim: `"higher"`, `"lower"` or `"no lower"`.
        differences: Ours, one of each seed.
        known: As for `Row`. Defaults to nothing.
    """

    MARGIN = 1.0

    def __init__(self, what: str, claim: str, differences: Sequence[float], known: str = "") -> None:
        super().__init__(what, {"higher": 1.0, "lower": -1.0, "no lower": 0.0}[claim], differences, known)
        object.__setattr__(self, "claim", claim)

    @property
    def judgement(self) -> str:
        """`"agrees"`, `"differs"` or `"cannot tell"`."""
        if self.paper:
            return super().judgement
        if self.ours <= -self.tolerance and self.ours < 0:
            return "differs"
        return "agrees" if self.ours - self.tolerance > -self.MARGIN else "cannot tell"

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The printed cells, with the statement."""
        what, _, *others = super().cells
        return what, self.claim, *others


@dataclass(frozen=True)
class Note(Row):
    """A published figure and ours, as text; it is not judged.

    Args:
        what: The figure.
        paper: The published figure.
        ours: Our figure.
        judgement: The verdict that is printed: `"noted"`, or `"cannot tell"` if the figures should agree, but what is
            compared is not known well enough. Defaults to `"noted"`.
    """

    paper: str
    ours: str
    tolerance: float = math.inf
    judgement: str = "noted"

    @property
    def agrees(self) -> bool:
        """Always true."""
        return True

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The printed cells."""
        return self.what, self.paper, self.ours, "–", self.judgement


@dataclass(frozen=True)
class Reproduced:
    """The result of an entry.

    Args:
        name: Name of the entry.
        rows: Its rows; empty if it was not run.
        reason: Why it was not run. Defaults to nothing.
        seconds: Processor time that it took. Defaults to 0.
    """

    name: str
    rows: Sequence[Row]
    reason: str = ""
    seconds: float = 0.0

    @property
    def surprises(self) -> list[Row]:
        """The rows that differ for no known reason."""
        return [row for row in self.rows if not (row.agrees or row.known)]

    @property
    def remarks(self) -> list[str]:
        """Why rows differ, as far as it is known."""
        return [f"{row.what}: {row.known}" for row in self.rows if row.known and not row.agrees]

    @property
    def verdict(self) -> str:
        """`"agrees"`, `"agrees, N of M rows differ as said"`, `"differs"`, or `"cannot tell (reason)"`."""
        if self.reason or not self.rows:
            return f"cannot tell ({self.reason or 'no rows'})"
        if self.remarks and all(isinstance(row, Note) or not row.agrees for row in self.rows):
            return "differs" if self.surprises else "differs as said"
        known = f", {len(self.remarks)} of {len(self.rows)} rows differ as said" if self.remarks else ""
        return "differs" if self.surprises else f"agrees{known}"


class TrainingEntry:
    """An entry that trains networks: it takes minutes, and its figures are measured.

    Args:
        entry: The function.
    """

    def __init__(self, entry: Callable[..., Iterable[Row]]) -> None:
        functools.update_wrapper(self, entry)
        self._entry = entry

    def __call__(self, *args: Any, **kwargs: Any) -> Iterable[Row]:
        """Returns the rows; arguments, all of which have defaults, make it smaller or larger."""
        return self._entry(*args, **kwargs)


def chosen(name: str, *, exact: bool) -> list[str]:
    """Returns the names of entries.

    Args:
        name: One of `entries.names()`, or `"all"`.
        exact: Whether entries that train networks are left out of `"all"`.
    """
    if name != "all":
        entries.address(name)
        return [name]
    return [each for each in entries.names() if not (exact and isinstance(entries.member(each), TrainingEntry))]


def describe(name: str) -> str:
    """Returns the first line of the description of an entry."""
    return _description(name).partition("\n")[0]


def comment(name: str) -> str:
    """Returns the remarks on an entry's figures; empty if it has none."""
    return _description(name).partition("\n")[2].strip()


def _description(name: str) -> str:
    """Returns the text next to the file of an entry, `.about.txt`, or else its docstring."""
    address = entries.address(name)
    if isinstance(address, str):
        text = Path(find_spec(address.partition(":")[0]).origin).with_suffix(".about.txt")
        if text.is_file():
            return text.read_text(encoding="utf-8")
        return docstring_of(address).split("\nReference:")[0]
    return inspect.cleandoc(address.__doc__ or "").split("\nReference:")[0]


def reproduce(name: str) -> Reproduced:
    """Computes an entry.

    Args:
        name: One of `entries.names()`.
    """
    entry, began = entries.member(name), time.process_time()
    try:
        rows = tuple(entry())
    except NotRun as reason:
        return Reproduced(name, (), str(reason))
    return Reproduced(name, rows, seconds=time.process_time() - began)
