"""Chooses the widths of a network before it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import app
from kerasprune.cli.at_once import checked, named, run_recipe
from kerasprune.cli.options import (
    Freeze,
    Import,
    ModelPath,
    Out,
    Size,
    Trust,
    Unknown,
    Verbose,
    check_model_path,
    fraction,
    import_code,
    in_options,
)
from kerasprune.cli.outcome import print_json
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_summary
from kerasprune.errors import PruneError


@app.command()
def precrop(
    model: ModelPath,
    out: Out,
    params: Annotated[
        float | None, typer.Option(callback=fraction, help="Fraction of the parameters that stays, at most.")
    ] = None,
    macs: Annotated[
        float | None, typer.Option(callback=fraction, help="Fraction of the multiply–adds that stays, at most.")
    ] = None,
    freeze: Freeze = None,
    unknown: Unknown = "raise",
    size: Size = None,
    seed: Annotated[int, typer.Option(help="Decides the weights of the slim model.")] = 0,
    export: Annotated[
        list[str] | None, typer.Option("--export", metavar="FORMAT", help="Also write tflite, …; may be repeated.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")] = False,
    imports: Import = None,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no warnings.")] = False,
    verbose: Verbose = False,
    log_file: Annotated[Path | None, typer.Option(help="A file that warnings are appended to.")] = None,
) -> None:
    """Choose the widths of a network before it is trained (PreCrop): slim.keras is untrained, whatever MODEL is.

    Train slim.keras as MODEL would have been trained.
    """
    check_model_path(model)
    if params is None and macs is None:
        raise PruneError("Expected how much stays: --params, --macs or both. Received: neither.")
    recipe = {
        **named(model),
        "why": f"{model.name}, its widths chosen before training.",
        "seed": seed,
        "model": {"start": str(model), "size": size},
        "prune": {"precrop": {"params": params, "macs": macs, "freeze": freeze or [], "unknown": unknown}},
        "export": export or [],
    }
    with in_options():
        valid = checked(recipe, model, trust, room=out if overwrite else None)
    start(verbose=verbose)
    import_code(imports, trust)
    folder = run_recipe(valid, out, log_file, quiet=quiet, as_json=as_json)
    if as_json:
        print_json(folder)
    elif not quiet:
        print_summary(folder)
        typer.echo(f"slim model, untrained: {folder / 'slim.keras'}")
        typer.echo(f"next: train it as {model.name} would have been, by the same schedule")
