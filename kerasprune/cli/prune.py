"""Prunes a model at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    OF_DATA,
    OF_TRAINING,
    RATES,
    Import,
    ModelPath,
    Out,
    Trust,
    Verbose,
    check_model_path,
    check_needed,
    finetuning,
    given,
    import_code,
    option,
)
from kerasprune.cli.outcome import checked, named, print_json, print_outcome, run_recipe
from kerasprune.cli.startup import start
from kerasprune.errors import PruneError


@commands.command()
def prune(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    keep: Annotated[float | None, option("prune.plan.keep")] = None,
    macs: Annotated[float | None, option("prune.plan.macs")] = None,
    params: Annotated[float | None, option("prune.plan.params")] = None,
    criterion: Annotated[str | None, option("prune.plan.criterion")] = None,
    budget: Annotated[str | None, option("prune.plan.budget")] = None,
    coupling: Annotated[str | None, option("prune.plan.coupling")] = None,
    round_to: Annotated[int | None, option("prune.plan.round_to")] = None,
    min_keep: Annotated[int | None, option("prune.plan.min_keep")] = None,
    freeze: Annotated[list[str] | None, option("prune.plan.freeze")] = None,
    unknown: Annotated[str | None, option("prune.plan.unknown")] = None,
    data: Annotated[str | None, option("data.name")] = None,
    scale: Annotated[str | None, option("data.scale")] = None,
    size: Annotated[int | None, option("model.size")] = None,
    batch: Annotated[int | None, option("data.batch")] = None,
    validation: Annotated[str | None, option("data.validation")] = None,
    loss: Annotated[str | None, option("loss")] = None,
    reconstruct: Annotated[
        bool, typer.Option(help="Where there are --data: solve the slim kernels by least squares, without labels.")
    ] = True,
    finetune_epochs: Annotated[int, option("finetune.epochs", "0: none; others need --data.")] = 0,
    distil: Annotated[bool, typer.Option(help="The dense model teaches the slim one while it is fine-tuned.")] = True,
    optimizer: Annotated[str, option("finetune.optimizer")] = "compiled",
    learning_rate: Annotated[float | None, option("finetune.optimizer.learning_rate.start", RATES)] = None,
    deliver: Annotated[str, option("finetune.deliver")] = "best",
    seed: Annotated[int | None, option("seed")] = None,
    export: Annotated[list[str] | None, option("export")] = None,
    calibrate: Annotated[str | None, option("calibrate")] = None,
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
    target = given(keep=keep, macs=macs, params=params)
    _check_target(target)
    how = given(criterion=criterion, budget=budget, coupling=coupling, freeze=freeze, unknown=unknown)
    recipe = {
        **named(model),
        **given(seed=seed),
        "model": {"start": str(model), "size": size},
        "data": data and given(name=data, scale=scale, batch=batch, validation=validation, size=size),
        "loss": loss,
        "prune": {"plan": {**target, **how, **given(round_to=round_to, min_keep=min_keep)}},
        "reconstruct": {} if data and reconstruct else None,
        "finetune": finetuning(finetune_epochs, optimizer, learning_rate, deliver, distil=distil),
        "export": export or [],
        "calibrate": calibrate,
    }
    valid = checked(recipe, model, trust, room=out if overwrite and not resume else None)
    start(verbose=verbose)
    import_code(imports, trust)
    shown = {"quiet": quiet, "as_json": as_json}
    folder = run_recipe(valid, out, log_file, resume=resume, overwrite=overwrite, **shown)
    if as_json:
        print_json(folder)
    elif not quiet:
        print_outcome(folder, valid, context)


def _check_target(target: dict[str, float]) -> None:
    """Says that how much is kept is said once."""
    if len(target) != 1:
        received = " and ".join(f"--{name} {value}" for name, value in target.items()) or "none of them"
        raise PruneError(f"Expected how much is kept: one of --keep, --macs and --params. Received: {received}.")
