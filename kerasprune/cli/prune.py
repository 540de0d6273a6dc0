"""Prunes a model at once."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.console import Console

from kerasprune.cli.application import app
from kerasprune.cli.options import Import, ModelPath, Out, Size, Trust, Verbose, check_model_path, import_code
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_summary
from kerasprune.errors import PruneError


@app.command()
def prune(
    model: ModelPath,
    out: Out,
    keep: Annotated[float | None, typer.Option(help="Fraction of the channels that stays.")] = None,
    macs: Annotated[float | None, typer.Option(help="Fraction of the multiply–adds that stays.")] = None,
    params: Annotated[float | None, typer.Option(help="Fraction of the parameters that stays.")] = None,
    criterion: Annotated[str, typer.Option(help="What matters; see 'kerasprune ls criteria'.")] = "l1",
    budget: Annotated[str, typer.Option(help="How much stays where; see 'kerasprune ls budgets'.")] = "uniform",
    coupling: Annotated[str, typer.Option(help="tied: residual trunks shrink too; free: they stay; padded.")] = "tied",
    data: Annotated[str | None, typer.Option(help="Data set; see 'kerasprune ls data'.")] = None,
    size: Size = None,
    batch: Annotated[int, typer.Option(help="Images per batch.")] = 128,
    finetune_epochs: Annotated[int, typer.Option(help="Epochs of training afterwards; needs --data.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="Where fine-tuning starts (SGD, cosine).")] = 0.01,
    imports: Import = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Prune a trained model at once, and fine-tune it where --finetune-epochs says so.

    Composite layers and subclassed models are written out as plain layers first.
    """
    from kerasprune.recipes import loader

    check_model_path(model)
    if keep is None and macs is None and params is None:
        raise PruneError("Expected how much stays: --keep, --macs or --params. Received: none of them.")
    plan = {
        "criterion": criterion,
        "budget": budget,
        "coupling": coupling,
        "keep": keep,
        "macs": macs,
        "params": params,
    }
    cosine = {"name": "cosine", "start": learning_rate}
    recipe = {
        "name": re.sub(r"[^A-Za-z0-9._-]", "-", model.stem).strip("-.") or "model",
        "why": f"{model.name}, pruned at once.",
        "model": {"start": str(model), "size": size},
        "data": data and {"name": data, "size": size or 32, "batch": batch},
        "prune": {"plan": plan},
        "finetune": {"epochs": finetune_epochs, "optimizer": {"name": "sgd", "learning_rate": cosine}}
        if finetune_epochs
        else None,
    }
    checked = loader.check(recipe, source=f"Pruning {model.name}")
    start(verbose=verbose)
    import_code(imports, trust)
    from kerasprune.recipes.runner import run as run_recipe

    print_summary(run_recipe(checked, out, console=Console()))
