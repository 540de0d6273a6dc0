"""The end of a run on the terminal: the path of the model, the measures, and the next command."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from kerasprune.cli.startup import Messages
from kerasprune.cli.tables import print_costs
from kerasprune.models.sets.lookup import SYNTHETIC

TIMES = "latency.json"
"""The times of both models beside each other, if they were asked for."""

if TYPE_CHECKING:
    from kerasprune.recipes import schema  # pydantic takes a tenth of a second: --help does without
    from kerasprune.recipes.stages.context import Run


def command_line(context: typer.Context, **changed: Any) -> str:
    """Returns the command line that a user has typed, with some options changed.

    Args:
        context: The present call.
        changed: New values by the name of the parameter; `None` leaves an option out.

    Returns:
        `kerasprune <command> <arguments> <options>`, quoted for a shell.
    """
    words, values = ["kerasprune", context.info_name], {**context.params, **changed}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name)
        typed = source is not None and source.name == "COMMANDLINE"
        value = values.get(parameter.name)
        if value is None or not (typed or parameter.name in changed):
            continue
        if parameter.param_type_name == "argument":
            words += _texts(value)
        elif isinstance(value, bool):
            words += (parameter.opts if value else parameter.secondary_opts)[:1]
        else:
            words += [word for text in _texts(value) for word in (parameter.opts[0], text)]
    return shlex.join(words)


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def print_outcome(folder: Path, recipe: schema.Recipe, context: typer.Context) -> None:
    """Prints the summary of a pruned model, and the next command.

    Args:
        folder: The folder of the run.
        recipe: Its recipe.
        context: The command that ran it.
    """
    from kerasprune.recipes.run_folder import RunFolder

    print_costs(folder)
    typer.echo(RunFolder(folder).report())
    typer.echo(f"report: {folder / 'report.html'}")
    slim = folder / "slim.keras"
    typer.echo(f"slim model: {slim}")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    missing = []
    drawn = recipe.data is not None and recipe.data.name == SYNTHETIC
    if recipe.data is not None and summary["slim"]["loss"] is None:
        found = "errors are measured on examples drawn from the model" if drawn else "the data have no labels"
        missing.append(f"accuracy ({found})")
    if recipe.data is None:
        missing.append("accuracy (give --data)")
    if all(export["latency_ms"] is None for export in summary["exports"]) and not (folder / TIMES).exists():
        missing.append("latency (give --export tflite, or --beside keras)")
    if missing:
        typer.echo(f"not measured: {', '.join(missing)}")
    typer.echo(f"next: {_next_command(recipe, context, slim)}")


def print_json(folder: Path) -> None:
    """Prints `summary.json` with the paths of the models, and nothing else."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    files = {name: str(folder / f"{name}.keras") for name in ("dense", "slim")}
    if (folder / TIMES).exists():
        summary["beside"] = json.loads((folder / TIMES).read_text(encoding="utf-8"))
    typer.echo(json.dumps({**summary, "folder": str(folder), "files": files}, indent=2))


def _next_command(recipe: schema.Recipe, context: typer.Context, slim: Path) -> str:
    if recipe.finetune is None:
        data = recipe.data.name if recipe.data and recipe.data.name != SYNTHETIC else "DATA"
        other = {"data": data, "finetune_epochs": 10, "out": f"{context.params['out']}-finetuned"}
        return command_line(context, **other, resume=None, overwrite=None, examples=None)
    if not (slim.parent / "exports").exists():
        return shlex.join(["kerasprune", "export", str(slim), "--format", "tflite", "--out", f"{slim.stem}.tflite"])
    return f"keras.models.load_model({str(slim)!r}), or the files in {slim.parent / 'exports'}"


def name_of_run(model: Path) -> dict[str, str]:
    """Returns `name` and `why` of a run named after the file of its model."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", model.stem).strip("-.") or "model"
    return {"name": name, "why": f"{model.name}, pruned at once."}


def check_recipe(
    recipe: dict[str, Any], model: Path, trust: bool, out: Path, *, resume: bool, overwrite: bool
) -> schema.Recipe:
    """Returns the checked recipe; the folder that it is to be run in is checked too."""
    from kerasprune.recipes import loader
    from kerasprune.recipes.run_folder import MARK, check_room, claim

    valid = loader.check(recipe, source=f"Pruning {model.name}", trust=trust)
    if overwrite and not resume:
        check_room(out, valid.model_dump())
    else:
        claim(out, [MARK], resume=resume)
    return valid


def run_recipe(
    recipe: schema.Recipe,
    out: Path,
    messages: Messages,
    *,
    quiet: bool,
    as_json: bool,
    resume: bool = False,
    overwrite: bool = False,
    begun: Run | None = None,
) -> Path:
    """Runs a recipe and returns its folder.

    Args:
        recipe: The recipe.
        out: The folder.
        messages: Where warnings are shown, and appended to.
        quiet: Whether no progress is shown.
        as_json: Whether standard output is for JSON alone.
        resume: Whether an earlier run is carried on with. Defaults to `False`.
        overwrite: Whether an earlier run is removed, once the new one is rehearsed. Defaults to `False`.
        begun: The run of the recipe, with its results so far. Defaults to a new one.
    """
    from kerasprune.recipes.run_folder import make_room
    from kerasprune.recipes.runner import carry_out, rehearse

    with messages.shown():
        one = begun or run_of(recipe, out, quiet=quiet, as_json=as_json)
        if overwrite and not resume and out.exists():
            rehearse(one)
            make_room(out, recipe.model_dump())
        return carry_out(one, resume=resume)


def run_of(recipe: schema.Recipe, out: Path, *, quiet: bool, as_json: bool) -> Run:
    """Returns the run of a recipe in a folder, without starting it."""
    from kerasprune.files import path_of
    from kerasprune.recipes.loader import locate_files
    from kerasprune.recipes.run_folder import RunFolder
    from kerasprune.recipes.stages.context import Run

    return Run(locate_files(recipe), RunFolder(path_of(out)), Console(quiet=quiet, stderr=as_json))
