"""Compares criteria on a model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kerasprune.checks import whole_number_faults
from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    CODE,
    DATA,
    OF_TRAINING,
    RUNNING,
    SELECTION,
    TRAINING,
    ModelPath,
    Out,
    check_model_path,
    check_needed,
    data_section,
    finetune_section,
    import_code,
    names_of,
    numbers_of,
    option,
    options_given,
    take_options,
)
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_table
from kerasprune.errors import PruneError, raise_faults


@commands.command()
@take_options(*DATA, *SELECTION[1:], "loss", *TRAINING, *RUNNING, "workers")
def compare(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    criteria: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="Names, separated by commas; see 'kerasprune ls criteria'.")
    ] = "l1,l2",
    macs: Annotated[
        str, typer.Option(metavar="NUMBER,NUMBER", help="Fractions of the multiply–adds to keep, separated by commas.")
    ] = "0.7,0.5,0.3",
    seeds: Annotated[int, typer.Option(help="Runs of each, for mean ± deviation.")] = 3,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    finetune_epochs: Annotated[int, option("finetune.epochs", "0: none.")] = 1,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Solve the kernels of the slim models on 1,000 examples first.")
    ] = False,
    distil: Annotated[bool, typer.Option("--distil", help="Learn from the dense model, too, in fine-tuning.")] = False,
    controls: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME", help="What every criterion should beat: random, l1, scratch; 'none' for none."
        ),
    ] = "random,l1,scratch",
    **options: Any,
) -> None:
    """Compare criteria on a trained model: the same budgets, fine-tuning and seeds for all, with controls."""
    check_model_path(model)
    check_needed(context, finetune_epochs=OF_TRAINING)
    if options["data"] is None:
        raise PruneError("Expected --data: models are compared by their results on examples. Received: no --data.")
    contest = {
        "criteria": names_of(criteria),
        "macs": numbers_of("--macs", macs),
        "data": data_section(options),
        "finetune": finetune_section(finetune_epochs, options, distil=distil),
        "controls": [] if controls == "none" else names_of(controls),
        "start": "reconstructed" if reconstruct else "folded",
        "plan": options_given(options, *SELECTION[1:]),
        "loss": options["loss"],
        "trust": (options["imports"] or True) if options["trust"] else False,
    }
    from kerasprune.files import read_rows
    from kerasprune.files.made_of import MADE_OF
    from kerasprune.recipes.comparison import PLOT, STORE, TABLE, candidates_of
    from kerasprune.recipes.comparison import compare as compare_criteria
    from kerasprune.recipes.reports.contest import contest_table
    from kerasprune.recipes.run_folder import claim

    resume, workers = options["resume"], options["workers"]
    faults = whole_number_faults(1, **{"--seeds": seeds, "--workers": workers})
    raise_faults("Invalid arguments for compare:", [*faults, *whole_number_faults(0, **{"--seed": seed})])
    contest["seeds"] = range(seed, seed + seeds)
    import_code(*(options[name] for name in CODE))
    candidates_of(model, **contest)
    claim(out, [STORE, MADE_OF], resume=resume)
    start(verbose=options["verbose"])
    same = {"folder": out, "resume": resume, "workers": workers}
    folder = compare_criteria(model, **contest, **same, verbose=int(not options["quiet"]))
    if options["quiet"]:
        return
    print_table(contest_table([_numbers(row) for row in read_rows(folder / TABLE)]))
    typer.echo(f"mean ± standard deviation over the seeds; {folder / TABLE}, {folder / PLOT}")


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    """Returns a row of the CSV table with its numbers parsed."""
    kinds = {"method": str, "measure": str, "runs": int}
    return {key: kinds.get(key, float)(cell) if cell else None for key, cell in row.items()}
