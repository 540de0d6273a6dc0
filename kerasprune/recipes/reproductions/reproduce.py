"""Published figures, recomputed, and the verdict on each."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from kerasprune.recipes.reproductions.entry import NotRun, Row, add, entries

__all__ = ["NotRun", "Outcome", "Row", "add", "comment", "describe", "entries", "names", "reproduce"]


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


def names() -> list[str]:
    """Returns the names of all entries, sorted."""
    return entries.names()


def describe(name: str) -> str:
    """Returns the first line of what is said of an entry."""
    return _said(name).partition("\n")[0]


def comment(name: str) -> str:
    """Returns what else is said of an entry's figures; empty if nothing is."""
    return _said(name).partition("\n")[2].strip()


def _said(name: str) -> str:
    entry = entries.member(name)
    return getattr(entry, "about", None) or inspect.cleandoc(entry.__doc__ or "").split("\nReference:")[0]


def reproduce(name: str) -> Outcome:
    """Computes an entry.

    Args:
        name: One of `names()`.

    Returns:
        Its rows and its verdict.

    Raises:
        PruneError: There is no such entry.
    """
    entry = entries.member(name)
    try:
        return Outcome(name, tuple(entry()))
    except NotRun as reason:
        return Outcome(name, (), str(reason))
