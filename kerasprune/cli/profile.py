"""Measures the latency table of a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    CODE,
    ModelPath,
    check_model_path,
    check_needed,
    load,
    option,
    start_command,
    take_options,
)
from kerasprune.errors import raise_faults
from kerasprune.export.destination import check_place


@commands.command()
@take_options(*CODE, "quiet")
def profile(
    context: typer.Context,
    model: ModelPath,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.csv", help="The table; one of an earlier call is continued.")
    ],
    precision: Annotated[str, typer.Option(help="float32, float16, dynamic, int4, int8 or int16x8.")] = "float32",
    threads: Annotated[int, typer.Option(help="Threads of the interpreter.")] = 1,
    phone: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Files for benchmark_model on a phone are written there, its times read."),
    ] = None,
    machine: Annotated[str, typer.Option(help="The name of the phone.")] = "phone",
    size: Annotated[str | None, option("model.size")] = None,
    **options: Any,
) -> None:
    """Measure how long this machine takes for the model's operators at all widths, for 'prune --time --table'.

    With --phone a phone is measured: sh FOLDER/measure.sh times the files there with adb; call this again afterwards.
    """
    check_model_path(model)
    check_needed(context, phone=("machine",))
    from kerasprune.export.latency.table import LatencyTable, file_faults, name_faults

    faults = [*name_faults(out), *file_faults(precision, threads)]
    raise_faults("Invalid arguments for profile:", faults)
    if out.exists():
        LatencyTable.load(out)  # raises for another file, which is not replaced
    else:
        check_place(out, overwrite=False)
    start_command(options)
    from kerasprune.export.latency import profile as measured
    from kerasprune.export.latency import profile_phone

    loaded = load(model)
    how = {"precision": precision, "threads": threads, "size": size}
    if phone is None:
        table = measured(loaded, **how, store=out, verbose=int(not options["quiet"]))
    else:
        table = profile_phone(loaded, phone, machine=machine, **how)
        if table is not None:
            table.save(out, overwrite=True)
    if not options["quiet"] and table is not None:
        typer.echo(f"{out}: {table.predict(loaded, size=size):.3g} ms predicted for {model.name}.")
