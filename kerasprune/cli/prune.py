"""Prunes a model at once."""

from __future__ import annotations

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
from kerasprune.errors import PruneError


@commands.command()
@taking(*TARGETS, *SELECTION, *ROUNDING, *DATA, "loss", *TRAINING, "seed", "export")
def prune(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    reconstruct: Annotated[
        bool, typer.Option(help="With --data: solve the slim kernels by least squares, without labels.")
    ] = True,
    finetune_epochs: Annotated[int, option("finetune.epochs", "0: none; others need --data.")] = 0,
    distil: Annotated[bool, typer.Option(help="The dense model teaches the slim one while it is fine-tuned.")] = True,
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
    """Prune a trained model at once; with --data reconstruct it, and with --finetune-epochs train it, too.

    Composite layers and subclassed models are written out as plain layers first.
    """
    check_model_path(model)
    of_data = (*OF_DATA, "reconstruct", "finetune_epochs")
    check_needed(context, data=of_data, finetune_epochs=OF_TRAINING, export=("calibrate",))
    _check_target(chosen(options, *TARGETS))
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
    valid = checked(recipe, model, trust, room=out if overwrite and not resume else None)
    start(verbose=verbose)
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
