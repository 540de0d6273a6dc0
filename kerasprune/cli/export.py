"""Writes a model for use without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kerasprune.cli.application import app
from kerasprune.cli.options import Import, ModelPath, Size, Trust, Verbose, check_model_path, import_code, load
from kerasprune.cli.startup import start
from kerasprune.errors import PruneError


@app.command()
def export(
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", help="File or folder to write; must not be there yet.")],
    format: Annotated[str, typer.Option("--format", help="saved_model, tflite, tflite-float16, tflite-int8.")],
    data: Annotated[str | None, typer.Option(help="Data set to check and calibrate with.")] = None,
    size: Size = None,
    imports: Import = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Write a model for use without Keras, and measure what was written."""
    from kerasprune.recipes.formats import find

    check_model_path(model)
    form = find(format)
    if form.calibrates and data is None:
        raise PruneError(f"Expected images to calibrate {format} with. Received: no --data. Give --data NAME.")
    start(verbose=verbose)
    import_code(imports, trust)
    loaded = load(model)
    images = None if data is None else _images(data, size or loaded.inputs[0].shape[1] or 32)
    with Console(stderr=True).status(f"export {format}"):
        written = form.write(loaded, out, data=images, size=size, overwrite=False)
    typer.echo(str(written))


def _images(name: str, size: int) -> Any:
    from kerasprune.data import load as load_data

    return load_data(name, size=size, split="validation").map(lambda image, label: image)
