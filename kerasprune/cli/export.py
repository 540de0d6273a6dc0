"""Writes a model for use without Keras."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from kerasprune.checks import choice_faults
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
from kerasprune.data.scaling import SCALES
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.destination import check_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from kerasprune.export.formats import Format
    from kerasprune.graph.sizes import Size


@commands.command()
def export(
    context: typer.Context,
    model: ModelPath,
    out: Annotated[
        Path,
        typer.Option("--out", help="File or folder to write, which must not exist yet; a folder for several formats."),
    ],
    formats: Annotated[
        list[str], typer.Option("--format", help="saved_model, tflite, tflite-float16, tflite-int8, …; repeatable.")
    ],
    beside: Annotated[
        Path | None, typer.Option("--beside", help="The dense model: its file is measured in turn with this one's.")
    ] = None,
    data: Annotated[str | None, option("data.name")] = None,
    scale: Annotated[str | None, option("data.scale")] = None,
    calibrate: Annotated[Path | None, option("calibrate")] = None,
    loss: Annotated[str | None, option("loss")] = None,
    test: Annotated[str, option("data.test")] = "test",
    size: Annotated[str | None, option("model.size")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file or folder at --out.")] = False,
    imports: Import = None,
    trust: Trust = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a model for use without Keras, and measure what was written."""
    for path in (model, beside):
        if path is not None:
            check_model_path(path)
    if scale is not None:
        raise_faults("Invalid arguments for export:", choice_faults(SCALES, scale=scale))
    found = _checked(context, formats, data, calibrate, beside is not None)
    check_data(data, trust)
    places = _places(out, model, found, overwrite)
    start(verbose=verbose)
    import_code(imports, trust)
    from kerasprune.steps import side_by_side

    with Messages(quiet=quiet).shown():
        loaded = load(model)
        dense = None if beside is None else load_compiled(beside, loss)
        given = inputs_of(loaded, data, calibrate, scale, size)
        judging = None if data is None or dense is None else _examples(loaded, data, scale, size, test)
        for name, place in places.items():
            with Console(stderr=True, quiet=quiet).status(f"export {name}"):
                if len(places) > 1:
                    out.mkdir(exist_ok=True)
                how = {"size": size, "overwrite": overwrite}
                if dense is None:
                    written = found[name].write(loaded, place, data=given, **how)
                else:
                    how |= {"format": name, "data": judging, "calibrate": given}
                    written = side_by_side.beside(loaded, dense, place, **how)
            if not quiet:
                typer.echo(str(written))


def _checked(
    context: typer.Context, formats: list[str], data: str | None, calibrate: Path | None, beside: bool
) -> dict[str, Format]:
    """Returns the formats by name if they have what they need."""
    from kerasprune.export.registry import formats as known_formats

    if calibrate is None:  # whose images are scaled, too
        check_needed(context, data=("scale",))
    check_needed(context, beside=("loss", "test"))
    found = {name: known_formats.member(name) for name in formats}
    if data is not None and calibrate is not None and not beside:
        raise PruneError("Expected either --data or --calibrate. Received: both, without --beside.")
    calibrated = [name for name, form in found.items() if form.calibrates]
    if calibrated and data is None and calibrate is None:
        raise PruneError(
            f"Expected inputs to calibrate {calibrated[0]} with. Received: neither --data nor --calibrate. "
            "Give --calibrate FILE.npy, or a folder of images: a hundred of what the phone will see."
        )
    if calibrate is not None and not calibrate.exists():
        raise PruneError(f"Expected a file or a folder. Received: --calibrate {calibrate}, which is neither.")
    return found


def check_data(data: str | None, trust: bool) -> None:
    """Checks `--data`: the name of a data set, a file or a folder, or a function that is trusted."""
    from kerasprune.models.sets.lookup import check_name, needs_trust

    if data is None:
        return
    if needs_trust(data) and not trust:
        raise PruneError(f"{data!r} would import your own code. Expected the option --trust with --data.")
    check_name(data)


def _places(out: Path, model: Path, formats: Mapping[str, Format], overwrite: bool) -> dict[str, Path]:
    """Returns the path of each format; several are written to a folder, which may be missing."""
    if len(formats) == 1:
        check_place(out, overwrite)
        return dict.fromkeys(formats, out)
    if out.exists() and not out.is_dir():
        raise PruneError(f"Expected a folder for several formats. Received: --out {out}, a file.")
    places = {name: out / f"{model.stem}-{name}{form.suffix}" for name, form in formats.items()}
    for place in places.values() if out.is_dir() else [out]:
        check_place(place, overwrite)
    return places


def inputs_of(
    model: keras.Model, data: str | None, calibrate: Path | None, scale: str | None, size: Size | None
) -> Any:
    """Returns batches of inputs to calibrate and check with, or `None` if none are named."""
    if calibrate is None and data is None:
        return None
    from kerasprune.models.sets.unlabelled import read_unlabelled, warn_of_constants

    if calibrate is not None:
        return read_unlabelled(calibrate, model.inputs, scale=scale, size=size)
    if scale is None and Path(data).is_dir():
        warn_of_constants(data)
    from kerasprune.recipes.examples import calibration_inputs

    return calibration_inputs(partial(_examples, model, data, scale, size), "validation")


def _examples(model: keras.Model, data: str, scale: str | None, size: Size | None, split: str) -> Any:
    """Returns batches of the examples of a split, 1,000 at most."""
    from kerasprune.recipes import schema
    from kerasprune.recipes.examples import MOST, examples_of

    spec = schema.Data.model_construct(name=data, scale=scale, **({"size": size} if size else {}))
    return examples_of(spec, split, model, size=size).unbatch().take(MOST).batch(spec.batch)


def load_compiled(path: Path, loss: str | None) -> keras.Model:
    """Returns the dense model, compiled as it was saved, since its loss and metrics judge."""
    from kerasprune.files.keras_model import read_compile_config
    from kerasprune.models.registered import import_named
    from kerasprune.steps.objective import of_config

    model, settings = load(path), read_compile_config(path)
    import_named(settings)
    objective = of_config(settings, model, loss)
    return model if objective is None else objective.compile(model)
