"""Recomputes published figures."""

from __future__ import annotations

from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_table


@commands.command()
def reproduce(
    name: Annotated[str | None, typer.Argument(help="Which published figures to recompute.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the entries.")] = False,
) -> None:
    """Recompute published figures; exit code 1 where one differs."""
    start()
    from kerasprune.recipes.reproductions import reproduce as reproductions

    if listing or name is None:
        for known in reproductions.names():
            typer.echo(f"{known}: {reproductions.describe(known)}")
        return
    outcome = reproductions.reproduce(name)
    rows = [row.cells for row in outcome.rows]
    print_table(name, ("what", "paper", "ours", "tolerance", ""), rows)
    typer.echo(reproductions.comment(name))
    typer.echo(f"verdict: {outcome.verdict}")
    if outcome.verdict == "differs":
        raise typer.Exit(1)
