"""Redraws the report of a run; compares several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_comparison
from kerasprune.errors import PruneError


@commands.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs, or folders that contain them.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write several runs: .csv, or .html with plots.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out.")] = False,
) -> None:
    """Redraw report.html from the files of a run folder; of several runs, print mean ± standard deviation."""
    from kerasprune.export.destination import check_place
    from kerasprune.recipes.reports.comparison import runs_below, write_comparison

    if out is not None:
        if out.suffix not in (".csv", ".html"):
            raise PruneError(f"Expected --out to end in .csv or .html. Received: --out {out}.")
        check_place(out, overwrite)
    finished, unfinished = runs_below(runs)
    if len(finished) + len(unfinished) > 1:
        print_comparison(runs)
        if out is not None:
            if not finished:
                raise PruneError(
                    f"Expected finished runs for --out. Received: {len(unfinished)}, none of them finished."
                )
            from kerasprune.recipes.reports.pareto_page import write_page

            typer.echo(str((write_page if out.suffix == ".html" else write_comparison)(finished, out)))
        return
    if out is not None:
        raise PruneError(f"Expected several runs for --out. Received: one, {str(runs[0])!r}.")
    start()
    from kerasprune.recipes import reports

    typer.echo(str(reports.write((finished or unfinished)[0])))
