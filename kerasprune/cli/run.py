"""Runs a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kerasprune.cli.application import app
from kerasprune.cli.options import RecipeName, Settings, Trust, Verbose
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_summary


@app.command()
def run(
    recipe: RecipeName,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", help="Defaults to runs/RECIPE-HASH.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on with the first unfinished stage.")] = False,
    trust: Trust = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Try every stage on generated images.")] = False,
    verbose: Verbose = False,
) -> None:
    """Run a recipe: train, prune, rebuild, fine-tune, test, export, report."""
    from kerasprune.recipes import loader

    checked = loader.load(recipe, settings or [], trust=trust)
    start(verbose=verbose)
    from kerasprune.recipes.runner import run as run_recipe

    print_summary(run_recipe(checked, out, resume=resume, smoke=smoke, console=Console()))
