"""Explores pruning spaces of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    DATA,
    OF_DATA,
    RUNNING,
    SELECTION,
    TRAINING,
    ModelPath,
    Out,
    check_model_path,
    check_needed,
    data_section,
    finetune_section,
    given_values,
    names_of,
    numbers_of,
    option,
    options_given,
    start_command,
    take_options,
)
from kerasprune.cli.tables import print_table
from kerasprune.errors import PruneError
from kerasprune.tables import Table

_SHOWN = 10


@commands.command()
@take_options(*DATA, *TRAINING, *SELECTION[2:], "loss", *RUNNING, "workers")
def space(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    macs: Annotated[float | None, option("prune.space.macs")] = None,
    params: Annotated[float | None, option("prune.space.params")] = None,
    delta: Annotated[float | None, option("prune.space.delta")] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER,NUMBER", help="Largest standard deviations of allocations, a space for each: 0.1,0.05,0.01."
        ),
    ] = None,
    mcb: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER,NUMBER", help="Window of (MACs / params) over the dense model's, such as 0.9,1.1."
        ),
    ] = None,
    n: Annotated[int | None, option("prune.space.n", "So many from each space.")] = None,
    ranked_by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME", help="Judge slim models before training: removed, recalibrated, reconstructed."
        ),
    ] = None,
    best: Annotated[
        int | None, typer.Option(help="Train those of each space that rank highest by the first. Defaults to all.")
    ] = None,
    begin: Annotated[str, typer.Option(help="How training begins: removed, recalibrated, reconstructed.")] = "removed",
    finetune_epochs: Annotated[int, option("finetune.epochs", "0: none.")] = 0,
    criterion: Annotated[str | None, option("prune.space.criterion")] = None,
    shown: Annotated[int, typer.Option(help="Number of the best plans that are written, with --data.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of the trainings.")] = 0,
    **options: Any,
) -> None:
    """Draw plans of one cost from a pruning space; with --data, rank and fine-tune the slim models."""
    check_model_path(model)
    trained = ("optimizer", "learning_rate", "deliver", "best", "begin")
    check_needed(context, data=(*OF_DATA, "ranked_by", "finetune_epochs", "shown"), finetune_epochs=trained)
    if macs is None and params is None:
        raise PruneError("Expected --macs or --params, the fraction kept. Received: neither.")
    data = options["data"]
    if data is not None and not ranked_by and not finetune_epochs:
        raise PruneError(
            "Expected --ranked-by, --finetune-epochs or both with --data, to judge slim models or to train them. "
            f"Received: --data {data} alone. Leave it out, and plans are only drawn."
        )
    windows = {"macs": macs, "params": params, "std": numbers_of("--std", std), "mcb": _window(mcb)}
    runs = {
        "data": data_section(options | {"size": None}),
        "ranked_by": names_of(ranked_by),
        "best": best,
        "start": begin,
        "finetune": finetune_section(finetune_epochs, options),
        "trust": (options["imports"] or True) if options["trust"] else False,
    }
    from kerasprune.papers.pruning_spaces.explore import Draw, explore

    start_command(options)
    plan = given_values(criterion=criterion) | options_given(options, *SELECTION[2:])
    draw = Draw(**windows, **given_values(delta=delta, n=n), plan=plan, size=options["size"], seed=seed)
    same = {"shown": shown, "folder": out, **{name: options[name] for name in ("loss", "resume", "workers")}}
    folder = explore(model, draw, **runs, **same, verbose=int(not options["quiet"]))
    if not options["quiet"]:
        _print(folder)


def _print(folder: Path) -> None:
    """Prints the best candidates, and where the others are."""
    from kerasprune.files import read_rows
    from kerasprune.papers.pruning_spaces.explore import CANDIDATES, PLANS

    rows = read_rows(folder / CANDIDATES)
    columns = ["space", "number", "macs", "params", "mcb", "std"]
    columns += [key for key in ("removed", "recalibrated", "reconstructed", "validation", "test") if key in rows[0]]
    print_table(Table(columns, [[_cell(row[key]) for key in columns] for row in rows[:_SHOWN]]))
    typer.echo(f"{len(rows)} candidates: {folder / CANDIDATES}; plans: {folder / PLANS}")


def _cell(text: str) -> str:
    try:
        return text if text.isdigit() else f"{float(text):.4f}"
    except ValueError:
        return text


def _window(text: str | None) -> Any:
    found = numbers_of("--mcb", text)
    return None if not found else found[0] if len(found) == 1 else tuple(found)
