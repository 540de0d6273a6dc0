"""Carries on with a run that was broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kerasprune.cli.application import commands
from kerasprune.cli.options import Strict, Trust, Verbose
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_summary


@commands.command()
def resume(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the run.")],
    strict: Strict = False,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Carry on with a run that was broken off; its recipe and settings are in its folder."""
    start(verbose=verbose)
    from kerasprune.recipes.runner import resume as resume_run

    print_summary(resume_run(folder, trust=trust, strict=strict, console=Console()))
