"""Draws the report of a run anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import app
from kerasprune.cli.startup import start


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")]) -> None:
    """Draw report.html anew from the files of a run folder."""
    start()
    from kerasprune import reports

    typer.echo(str(reports.write(folder)))
