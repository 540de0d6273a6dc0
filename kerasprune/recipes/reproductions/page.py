"""The page of recomputed figures: a table for each entry, and what they were computed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kerasprune.errors import PruneError
from kerasprune.files import write_text
from kerasprune.recipes.reports.tables import about
from kerasprune.recipes.reproductions.entry import HEADS, Reproduced, comment, describe
from kerasprune.recipes.stages.report import provenance

NAME = "reproduced.md"
SEED = 0
"""Seed of every network whose weights matter."""


def check_free(folder: Path) -> None:
    """Checks that a folder has no page yet, before anything is computed."""
    if (folder / NAME).exists():
        raise PruneError(
            f"Expected a folder without {NAME}. Received: --out {folder}. Name another, or remove the page."
        )


def write(outcomes: Sequence[Reproduced], folder: Path) -> Path:
    """Writes the page into a folder and returns its path.

    Args:
        outcomes: The results of the entries.
        folder: The folder, which is made if it is not there.

    Raises:
        PruneError: The folder has a page.
    """
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return write_text(folder / NAME, "\n".join(_lines(outcomes)) + "\n")


def _lines(outcomes: Sequence[Reproduced]) -> Iterator[str]:
    yield "# Published figures, recomputed"
    yield ""
    yield from _table(("entry", "what", "verdict", "seconds"), [_summary(each) for each in outcomes])
    for each in outcomes:
        yield f"\n## {each.name}\n\n{describe(each.name)}\n"
        yield from _table(HEADS, [row.cells for row in each.rows])
        yield "\n".join(["", *each.remarks, "", comment(each.name)]).rstrip()
        yield f"\nVerdict: {each.verdict}."
    yield "\n## Computed with\n"
    yield from _table(("", ""), about({"seed": SEED}, provenance()))


def _summary(outcome: Reproduced) -> tuple[str, ...]:
    return outcome.name, describe(outcome.name), outcome.verdict, f"{outcome.seconds:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table in Markdown."""
    for line in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |"
