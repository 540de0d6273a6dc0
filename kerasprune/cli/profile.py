"""Measures the latency table of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import Import, ModelPath, Quiet, Trust, Verbose, check_model_path, import_code, load, option
from kerasprune.cli.startup import start


@commands.command()
def profile(
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="The table; of an earlier call: continued.")],
    precision: Annotated[str, typer.Option(help="float32, float16, dynamic, int8 or int16x8.")] = "float32",
    threads: Annotated[int, typer.Option(help="Threads of the interpreter.")] = 1,
    size: Annotated[int | None, option("model.size")] = None,
    imports: Import = None,
    trust: Trust = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure how long this machine takes for the model's operators at all widths, for 'prune --time --table'."""
    check_model_path(model)
    start(verbose=verbose)
    import_code(imports, trust)
    from kerasprune.latency import profile as measured

    loaded = load(model)
    options = {"precision": precision, "threads": threads, "resolution": size, "store": out, "verbose": int(not quiet)}
    table = measured(loaded, **options)
    if not quiet:
        typer.echo(f"{out}: {table.predict(loaded, resolution=size):.3g} ms predicted for {model.name}.")
