"""Recomputes published figures, and writes a page of them: a table for each entry, and what they were computed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_table
from kerasprune.errors import PruneError
from kerasprune.files import write_text
from kerasprune.tables import Table

if TYPE_CHECKING:
    from kerasprune.recipes.reproductions.entry import Reproduced

PAGE = "reproduced.md"
SEED = 0
"""Seed of every network whose weights matter."""


@commands.command()
def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="Which published figures to recompute; all of them with 'all'.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the entries.")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Only what is counted or solved, without training.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for a page of the figures.")] = None,
) -> None:
    """Recompute published figures; exit code 1 if one differs for no known reason."""
    from kerasprune.recipes.reproductions import entry as reproductions

    names = reproductions.chosen(name or "all", exact=exact)
    if listing or name is None:
        for known in names:
            typer.echo(f"{known}: {reproductions.describe(known)}")
        return
    if out is not None:
        _check_free(out)
    start()
    outcomes = []
    for each in names:
        outcomes.append(reproductions.reproduce(each))
        _print(outcomes[-1])
    if len(outcomes) > 1:
        rows = [(each.name, str(len(each.rows)), f"{each.seconds:.0f} s", each.verdict) for each in outcomes]
        print_table(Table(("entry", "figures", "processor time", "verdict"), rows))
    if out is not None:
        typer.echo(str(_write_page(outcomes, out)))
    if any(each.surprises for each in outcomes):
        raise typer.Exit(1)


def _print(outcome: Reproduced) -> None:
    """Prints the figures of an entry, what is said of them, and the verdict."""
    from kerasprune.recipes.reproductions.entry import HEADS, comment

    typer.echo(outcome.name)
    print_table(Table(HEADS, [row.cells for row in outcome.rows]))
    typer.echo("\n".join([comment(outcome.name), *outcome.remarks]))
    typer.echo(f"verdict: {outcome.verdict}")


def _check_free(folder: Path) -> None:
    """Checks that a folder has no page yet, before anything is computed."""
    if (folder / PAGE).exists():
        raise PruneError(
            f"Expected a folder without {PAGE}. Received: --out {folder}. Name another, or remove the page."
        )


def _write_page(outcomes: Sequence[Reproduced], folder: Path) -> Path:
    """Writes the page of some entries into a folder, which is made if it is not there, and returns its path."""
    _check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return write_text(folder / PAGE, "\n".join(_lines(outcomes)) + "\n")


def _lines(outcomes: Sequence[Reproduced]) -> Iterator[str]:
    from kerasprune.recipes.reports.tables import about
    from kerasprune.recipes.reproductions.entry import HEADS, comment, describe
    from kerasprune.recipes.stages.report import provenance

    yield "# Published figures, recomputed\n"
    summary = [(each.name, describe(each.name), each.verdict, f"{each.seconds:.0f}") for each in outcomes]
    yield from _table(("entry", "what", "verdict", "seconds"), summary)
    for each in outcomes:
        yield f"\n## {each.name}\n\n{describe(each.name)}\n"
        yield from _table(HEADS, [row.cells for row in each.rows])
        yield "\n".join(["", *each.remarks, "", comment(each.name)]).rstrip()
        yield f"\nVerdict: {each.verdict}."
    yield "\n## Computed with\n"
    yield from _table(("", ""), about({"seed": SEED}, provenance()).rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table in Markdown."""
    for line in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |"
