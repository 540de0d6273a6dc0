"""Chooses the widths of a network before it is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    AsJson,
    Import,
    LogFile,
    ModelPath,
    Out,
    Overwrite,
    Quiet,
    Trust,
    Verbose,
    check_model_path,
    given_values,
    import_code,
    option,
)
from kerasprune.cli.outcome import check_recipe, name_of_run, print_json, run_recipe
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_summary
from kerasprune.errors import PruneError


@commands.command()
def precrop(
    model: ModelPath,
    out: Out,
    params: Annotated[float | None, option("prune.precrop.params")] = None,
    macs: Annotated[float | None, option("prune.precrop.macs")] = None,
    freeze: Annotated[list[str] | None, option("prune.precrop.freeze")] = None,
    unknown: Annotated[str | None, option("prune.precrop.unknown")] = None,
    size: Annotated[int | None, option("model.size")] = None,
    seed: Annotated[int | None, option("seed")] = None,
    export: Annotated[list[str] | None, option("export")] = None,
    overwrite: Overwrite = False,
    imports: Import = None,
    trust: Trust = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Choose the widths of a network before it is trained (PreCrop): slim.keras is untrained, whatever MODEL is.

    Train slim.keras as MODEL would have been trained.
    """
    check_model_path(model)
    if params is None and macs is None:
        raise PruneError("Expected the fraction kept: --params, --macs or both. Received: neither.")
    recipe = {
        **name_of_run(model),
        "why": f"{model.name}, its widths chosen before training.",
        **given_values(seed=seed),
        "model": {"start": str(model), "size": size},
        "prune": {"precrop": given_values(params=params, macs=macs, freeze=freeze, unknown=unknown)},
        "export": export or [],
    }
    import_code(imports, trust, verbose)
    valid = check_recipe(recipe, model, trust, room=out if overwrite else None)
    start(verbose=verbose)
    folder = run_recipe(valid, out, log_file, quiet=quiet, as_json=as_json, overwrite=overwrite)
    if as_json:
        print_json(folder)
    elif not quiet:
        print_summary(folder)
        typer.echo(f"slim model, untrained: {folder / 'slim.keras'}")
        typer.echo(f"next: train it as {model.name} would have been, by the same schedule")
