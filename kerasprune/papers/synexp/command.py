"""Chooses the widths of a network before it is trained."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    CODE,
    AsJson,
    LogFile,
    ModelPath,
    Out,
    Overwrite,
    check_model_path,
    given_values,
    import_code,
    option,
    options_given,
    take_options,
)
from kerasprune.cli.outcome import check_recipe, name_of_run, print_json, run_recipe
from kerasprune.cli.startup import Messages, start
from kerasprune.cli.tables import print_summary
from kerasprune.errors import PruneError


@commands.command()
@take_options("size", "seed", "export", *CODE, "quiet")
def precrop(
    model: ModelPath,
    out: Out,
    params: Annotated[float | None, option("prune.precrop.params")] = None,
    macs: Annotated[float | None, option("prune.precrop.macs")] = None,
    freeze: Annotated[list[str] | None, option("prune.precrop.freeze")] = None,
    unknown: Annotated[str | None, option("prune.precrop.unknown")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    log_file: LogFile = None,
    **options: Any,
) -> None:
    """Choose the widths of a network before it is trained (PreCrop): slim.keras is untrained, whatever MODEL is.

    Train slim.keras as MODEL would have been trained.
    """
    check_model_path(model)
    if params is None and macs is None:
        raise PruneError("Expected the fraction kept: --params, --macs or both. Received: neither.")
    recipe = {
        **name_of_run(model),
        "why": f"{model.name}, its widths chosen before training.",
        **options_given(options, "seed"),
        "model": {"start": str(model), "size": options["size"]},
        "prune": {"precrop": given_values(params=params, macs=macs, freeze=freeze, unknown=unknown)},
        "export": options["export"] or [],
    }
    import_code(*(options[name] for name in CODE))
    messages = Messages(quiet=options["quiet"], log=log_file)
    place = {"out": out, "resume": False, "overwrite": overwrite}
    valid = check_recipe(recipe, model, options["trust"], **place)
    start(verbose=options["verbose"])
    folder = run_recipe(valid, messages=messages, quiet=options["quiet"], as_json=as_json, **place)
    if as_json:
        print_json(folder)
    elif not options["quiet"]:
        print_summary(folder)
        typer.echo(f"slim model, untrained: {folder / 'slim.keras'}")
        typer.echo(f"next: train it as {model.name} would have been, by the same schedule")
