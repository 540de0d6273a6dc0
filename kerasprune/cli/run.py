"""Runs a recipe, or resumes a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kerasprune.cli.application import commands
from kerasprune.cli.options import Import, RecipeName, Settings, Strict, Trust, Verbose, import_code
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_comparison, print_summary
from kerasprune.errors import PruneError


@commands.command()
def run(
    recipe: RecipeName,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", help="Defaults to runs/RECIPE-HASH.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    strict: Strict = False,
    imports: Import = None,
    trust: Trust = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Try every stage on generated images.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", help="Number of seeds to run it for, for mean ± deviation.")] = 1,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="KEY.KEY=VALUE,VALUE", help="Run it for each; repeatable."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", help="Runs at a time, of --seeds and --grid.")] = 1,
    verbose: Verbose = False,
) -> None:
    """Run a recipe: train, prune, rebuild, fine-tune, test, export, report."""
    from kerasprune.recipes import library, loader

    library.find(recipe)
    many = seeds != 1 or bool(grid)
    if many and strict:
        raise PruneError("Expected one run with --strict. Received: --seeds or --grid. Leave one of them out.")
    if workers != 1 and not many:
        raise PruneError(f"Expected --seeds or --grid with --workers. Received: one run, --workers {workers}.")
    start(verbose=verbose)
    import_code(imports, trust)
    if many:
        from kerasprune.recipes.grid import grid_of, output_of, seeds_and_grid

        options = {"settings": settings or [], "folder": out, "resume": resume, "smoke": smoke}
        options["trust"] = (imports or True) if trust else False
        folder = seeds_and_grid(recipe, seeds=seeds, grid=grid_of(grid or []), workers=workers, **options)
        if verbose:
            for printed in filter(Path.is_file, map(output_of, sorted(folder.iterdir()))):
                typer.echo(f"{printed}:\n{printed.read_text(encoding='utf-8')}", err=True)
        print_comparison([folder])
        return
    checked = loader.load(recipe, settings or [], trust=trust)
    from kerasprune.recipes.runner import run as run_recipe

    print_summary(run_recipe(checked, out, resume=resume, smoke=smoke, strict=strict, console=Console()))


@commands.command()
def resume(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the run.")],
    strict: Strict = False,
    imports: Import = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Resume an interrupted run; its recipe and settings are in its folder."""
    start(verbose=verbose)
    import_code(imports, trust)
    from kerasprune.recipes.runner import resume as resume_run

    print_summary(resume_run(folder, trust=trust, strict=strict, console=Console()))
