"""Prunes a model at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    DATA,
    OF_DATA,
    OF_TRAINING,
    ROUNDING,
    SELECTION,
    TARGETS,
    TRAINING,
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
    check_needed,
    chosen,
    data_section,
    finetuning,
    import_code,
    option,
    taking,
)
from kerasprune.cli.outcome import checked, named, print_json, print_outcome, run_recipe
from kerasprune.cli.startup import start
from kerasprune.data.lookup import SYNTHETIC
from kerasprune.errors import PruneError

EXAMPLES = (
    "Without --data: examples drawn from the model, which kernels are solved on; auto: 600, if the model has "
    "statistics of BatchNorm and it takes at most five minutes; none: only cut."
)


@commands.command()
@taking(*TARGETS, *SELECTION, *ROUNDING, *DATA, "loss", *TRAINING, "seed", "export")
def prune(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    reconstruct: Annotated[bool, typer.Option(help="Solve the slim kernels by least squares, without labels.")] = True,
    finetune_epochs: Annotated[int, option("finetune.epochs", "0: none; others need --data.")] = 0,
    distil: Annotated[bool, typer.Option(help="The dense model teaches the slim one while it is fine-tuned.")] = True,
    examples: Annotated[str, typer.Option(metavar="auto|none|NUMBER", help=EXAMPLES)] = "auto",
    calibrate: Annotated[str | None, option("calibrate")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on with what an earlier run left.")] = False,
    overwrite: Overwrite = False,
    imports: Import = None,
    trust: Trust = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    **options: Any,
) -> None:
    """Prune a trained model at once and reconstruct it; with --data and --finetune-epochs train it, too.

    Composite layers and subclassed models are written out as plain layers first.
    """
    check_model_path(model)
    of_data = (*OF_DATA, "finetune_epochs")
    check_needed(context, data=of_data, finetune_epochs=OF_TRAINING, export=("calibrate",))
    _check_target(chosen(options, *TARGETS))
    number = _number(examples, options["data"])
    recipe = {
        **named(model),
        **chosen(options, "seed"),
        "model": {"start": str(model), "size": options["size"]},
        "data": data_section(options),
        "loss": options["loss"],
        "prune": {"plan": chosen(options, *TARGETS, *SELECTION, *ROUNDING)},
        "reconstruct": {} if options["data"] and reconstruct else None,
        "finetune": finetuning(finetune_epochs, options, distil=distil),
        "export": options["export"] or [],
        "calibrate": calibrate,
    }
    import_code(imports, trust, verbose)
    if number:
        recipe |= _drawing(options, samples=number)
    room = out if overwrite and not resume else None
    valid = checked(recipe, model, trust, room=room)
    start(verbose=verbose)
    if examples == "auto" and valid.data is None and reconstruct:
        recipe |= _if_affordable(model, options, out if resume else None, quiet)
        valid = checked(recipe, model, trust, room=room)
    shown = {"quiet": quiet, "as_json": as_json}
    folder = run_recipe(valid, out, log_file, resume=resume, overwrite=overwrite, **shown)
    if as_json:
        print_json(folder)
    elif not quiet:
        print_outcome(folder, valid, context)


def _check_target(target: dict[str, float]) -> None:
    """Checks that exactly one option tells how much is kept."""
    if len(target) != 1:
        received = " and ".join(f"--{name} {value}" for name, value in target.items()) or "none of them"
        raise PruneError(f"Expected how much is kept: one of --keep, --macs and --params. Received: {received}.")


def _number(examples: str, data: str | None) -> int:
    """Returns the number of examples to draw; 0 for `auto` and `none`."""
    if examples == "auto":
        return 0
    if examples != "none" and not (examples.isdecimal() and int(examples)):
        raise PruneError(f"Expected --examples auto, none or a number. Received: --examples {examples}.")
    if data is not None:
        raise PruneError(f"Expected --examples without --data. Received: --data {data} and --examples {examples}.")
    return 0 if examples == "none" else int(examples)


def _drawing(options: dict[str, Any], **samples: int) -> dict[str, Any]:
    """Returns the sections of a recipe that draw examples and reconstruct."""
    return {"data": {"name": SYNTHETIC, **samples, **chosen(options, "size")}, "reconstruct": {}}


def _if_affordable(model: Path, options: dict[str, Any], begun: Path | None, quiet: bool) -> dict[str, Any]:
    """Returns the sections that draw examples if it takes little time; the decision of a run that resumes stays.

    Args:
        model: Path of the model.
        options: The shared options.
        begun: Folder of the run to be resumed; `None` for a new one.
        quiet: Whether the reason why none are drawn is left out.
    """
    from kerasprune.files import is_file
    from kerasprune.files.keras_model import load_model
    from kerasprune.recipes.run_folder import begun as recipe_of
    from kerasprune.steps.drawn import affordable

    if begun is not None and is_file(begun / "recipe.yaml"):
        return _drawing(options) if recipe_of(begun, trust=True).data is not None else {}
    drawing, reason = affordable(load_model(model), options["size"], options["seed"] or 0)
    if drawing is None and not quiet:
        typer.echo(reason, err=True)
    return {} if drawing is None else _drawing(options)
