"""Prunes a model at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasprune.cli.application import app
from kerasprune.cli.at_once import checked, named, run_recipe
from kerasprune.cli.finetuning import check_optimizer, finetuning
from kerasprune.cli.options import (
    OF_DATA,
    OF_TRAINING,
    Batch,
    Budget,
    Coupling,
    Data,
    Freeze,
    Import,
    LearningRate,
    Loss,
    ModelPath,
    Optimizer,
    Out,
    Scale,
    Size,
    Trust,
    Unknown,
    Verbose,
    check_model_path,
    check_needed,
    fraction,
    import_code,
    in_options,
)
from kerasprune.cli.outcome import print_json, print_outcome
from kerasprune.cli.startup import start
from kerasprune.errors import PruneError


@app.command()
def prune(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    keep: Annotated[float | None, typer.Option(callback=fraction, help="Fraction of the channels that stays.")] = None,
    macs: Annotated[
        float | None, typer.Option(callback=fraction, help="Fraction of the multiply–adds that stays, 0.5 for half.")
    ] = None,
    params: Annotated[
        float | None, typer.Option(callback=fraction, help="Fraction of the parameters that stays.")
    ] = None,
    criterion: Annotated[str, typer.Option(help="What matters; see 'kerasprune ls criteria'.")] = "l1",
    budget: Budget = "uniform",
    coupling: Coupling = "tied",
    round_to: Annotated[int, typer.Option(help="Keep a multiple of so many channels, for what the phone likes.")] = 1,
    min_keep: Annotated[int, typer.Option(help="Keep at least so many channels of every group.")] = 1,
    freeze: Freeze = None,
    unknown: Unknown = "raise",
    data: Data = None,
    scale: Scale = None,
    size: Size = None,
    batch: Batch = 128,
    loss: Loss = None,
    reconstruct: Annotated[
        bool, typer.Option(help="Where there are --data: solve the slim kernels by least squares, without labels.")
    ] = True,
    finetune_epochs: Annotated[int, typer.Option(help="Epochs of training afterwards; needs --data.")] = 0,
    distil: Annotated[bool, typer.Option(help="The dense model teaches the slim one while it is fine-tuned.")] = True,
    optimizer: Optimizer = "sgd",
    learning_rate: LearningRate = None,
    seed: Annotated[int, typer.Option(help="Decides whatever is random.")] = 0,
    export: Annotated[
        list[str] | None, typer.Option("--export", metavar="FORMAT", help="Also write tflite, …; may be repeated.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Inputs to calibrate exports with: .npy, .npz or a folder of images.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on with what an earlier run left.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")] = False,
    imports: Import = None,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no warnings.")] = False,
    verbose: Verbose = False,
    log_file: Annotated[Path | None, typer.Option(help="A file that warnings are appended to.")] = None,
) -> None:
    """Prune a trained model at once; with --data reconstruct it, and with --finetune-epochs train it, too.

    Composite layers and subclassed models are written out as plain layers first.
    """
    check_model_path(model)
    of_data = (*OF_DATA, "reconstruct", "finetune_epochs")
    check_needed(context, data=of_data, finetune_epochs=OF_TRAINING, export=("calibrate",))
    _check_options(keep=keep, macs=macs, params=params, epochs=finetune_epochs, optimizer=optimizer)
    target = {name: value for name, value in (("keep", keep), ("macs", macs), ("params", params)) if value is not None}
    how = {"criterion": criterion, "budget": budget, "coupling": coupling, "freeze": freeze or [], "unknown": unknown}
    recipe = {
        **named(model),
        "seed": seed,
        "model": {"start": str(model), "size": size},
        "data": data and {"name": data, "scale": scale, "batch": batch, **({"size": size} if size else {})},
        "loss": loss,
        "prune": {"plan": {**target, **how, "round_to": round_to, "min_keep": min_keep}},
        "reconstruct": {} if data and reconstruct else None,
        "finetune": _taught(finetuning(finetune_epochs, optimizer, learning_rate), distil),
        "export": export or [],
        "calibrate": calibrate and str(calibrate),
    }
    with in_options():
        valid = checked(recipe, model, trust, room=out if overwrite and not resume else None)
    start(verbose=verbose)
    import_code(imports, trust)
    folder = run_recipe(valid, out, log_file, resume=resume, quiet=quiet, as_json=as_json)
    if as_json:
        print_json(folder)
    elif not quiet:
        print_outcome(folder, valid, context)


def _taught(section: dict[str, Any] | None, distil: bool) -> dict[str, Any] | None:
    """Returns the section of fine-tuning, with the dense model as a teacher where that is asked for."""
    return {**section, "distil": {}} if section and distil else section


def _check_options(*, epochs: int, optimizer: str, **targets: float | None) -> None:
    """Says what is wrong with options that exclude each other, or are out of range."""
    given = [f"--{name} {value}" for name, value in targets.items() if value is not None]
    if len(given) != 1:
        received = " and ".join(given) or "none of them"
        raise PruneError(f"Expected how much stays: one of --keep, --macs and --params. Received: {received}.")
    if epochs < 0:
        raise PruneError(f"Expected --finetune-epochs to be 0 or more. Received: --finetune-epochs {epochs}.")
    check_optimizer(optimizer)
