"""Writes a model for use without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    Import,
    ModelPath,
    Quiet,
    Trust,
    Verbose,
    check_model_path,
    check_needed,
    import_code,
    load,
    option,
)
from kerasprune.cli.startup import Messages, start
from kerasprune.errors import PruneError

if TYPE_CHECKING:
    import keras

EXAMPLES = 1000  # that calibrate and check


@commands.command()
def export(
    context: typer.Context,
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", help="File or folder to write; must not be there yet.")],
    format: Annotated[str, typer.Option("--format", help="saved_model, tflite, tflite-float16, tflite-int8, ….")],
    beside: Annotated[
        Path | None, typer.Option("--beside", help="The dense model: its file is measured beside this one's.")
    ] = None,
    data: Annotated[str | None, option("data.name")] = None,
    scale: Annotated[str | None, option("data.scale")] = None,
    calibrate: Annotated[Path | None, option("calibrate")] = None,
    size: Annotated[int | None, option("model.size")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file or folder at --out.")] = False,
    imports: Import = None,
    trust: Trust = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a model for use without Keras, and measure what was written."""
    from kerasprune.data.examples import inputs_only
    from kerasprune.data.lookup import check_name, own
    from kerasprune.export.formats import find
    from kerasprune.steps import side_by_side

    check_model_path(model)
    if beside is not None:
        check_model_path(beside)
    if calibrate is None:  # whose images are scaled, too
        check_needed(context, data=("scale",))
    form = find(format)
    if data is not None and calibrate is not None:
        raise PruneError("Expected either --data or --calibrate. Received: both.")
    if form.calibrates and data is None and calibrate is None:
        raise PruneError(
            f"Expected inputs to calibrate {format} with. Received: neither --data nor --calibrate. "
            "Give --calibrate FILE.npy, or a folder of images: a hundred of what the phone will see."
        )
    if calibrate is not None and not calibrate.exists():
        raise PruneError(f"Expected a file or a folder. Received: --calibrate {calibrate}, which is neither.")
    if data is not None:
        check_name(data)
    if data is not None and own(data) == "function" and not trust:
        raise PruneError(f"{data!r} would import your own code. Expected the option --trust beside --data.")
    start(verbose=verbose)
    import_code(imports, trust)
    with Messages(None if quiet else Console(stderr=True)).shown():
        loaded = load(model)
        examples = _examples(loaded, data, calibrate, scale, size)
        with Console(stderr=True, quiet=quiet).status(f"export {format}"):
            if beside is None:
                inputs = examples if data is None else inputs_only(examples)
                written = form.write(loaded, out, data=inputs, size=size, overwrite=overwrite)
            else:
                how = {"format": format, "data": examples, "size": size, "overwrite": overwrite}
                written = side_by_side.beside(loaded, load(beside), out, **how)
    if not quiet:
        typer.echo(str(written))


def _examples(model: keras.Model, data: str | None, calibrate: Path | None, scale: str | None, size: int | None) -> Any:
    """Returns batches of examples, or of inputs, or `None` if none are named."""
    from kerasprune.recipes import schema
    from kerasprune.recipes.examples import examples_of

    if calibrate is not None:
        from kerasprune.data.unlabelled import unlabelled

        return unlabelled(calibrate, model.inputs, scale=scale, size=size)
    if data is None:
        return None
    spec = schema.Data.model_construct(name=data, scale=scale, **({"size": size} if size else {}))
    batches = examples_of(spec, "validation", model, size=size)
    return batches.unbatch().take(EXAMPLES).batch(spec.batch)
