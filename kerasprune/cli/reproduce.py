"""Recomputes published figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_table

if TYPE_CHECKING:
    from kerasprune.recipes.reproductions.entry import Reproduced


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
    start()
    from kerasprune.recipes.reproductions import entry as reproductions
    from kerasprune.recipes.reproductions import page

    names = reproductions.chosen(name or "all", exact=exact)
    if listing or name is None:
        for known in names:
            typer.echo(f"{known}: {reproductions.describe(known)}")
        return
    if out is not None:
        page.check_free(out)
    outcomes = []
    for each in names:
        outcomes.append(reproductions.reproduce(each))
        _print(outcomes[-1])
    if len(outcomes) > 1:
        rows = [(each.name, str(len(each.rows)), f"{each.seconds:.0f} s", each.verdict) for each in outcomes]
        print_table("all", ("entry", "figures", "processor time", "verdict"), rows)
    if out is not None:
        typer.echo(str(page.write(outcomes, out)))
    if any(each.surprises for each in outcomes):
        raise typer.Exit(1)


def _print(outcome: Reproduced) -> None:
    """Prints the figures of an entry, what is said of them, and the verdict."""
    from kerasprune.recipes.reproductions.entry import HEADS, comment

    print_table(outcome.name, HEADS, [row.cells for row in outcome.rows])
    typer.echo("\n".join([comment(outcome.name), *outcome.remarks]))
    typer.echo(f"verdict: {outcome.verdict}")
