"""Writes the model of a `.kpz` file as a `.keras` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import Import, Trust, Verbose, import_code
from kerasprune.cli.startup import start
from kerasprune.errors import PruneError
from kerasprune.export.destination import check_place, new_file


@commands.command()
def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE.kpz", help="Path of a packed model.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.keras", help="File to write; must not exist yet.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out.")] = False,
    imports: Import = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Write the model of a .kpz file to a .keras file."""
    if not file.is_file():
        raise PruneError(f"Expected a .kpz file. Received: {str(file)!r}, which is not a file.")
    if out.suffix != ".keras":
        raise PruneError(f"Expected --out to end in .keras. Received: --out {out}.")
    check_place(out, overwrite)
    start(verbose=verbose)
    from kerasprune.export.codec import unpack as unpacked
    from kerasprune.files.keras_model import save_and_load

    import_code(imports, trust)
    model = unpacked(file)
    with new_file(out, overwrite=overwrite) as temporary:
        save_and_load(model, temporary)
    typer.echo(f"{out}: {model.count_params():,} parameters, not compiled")
