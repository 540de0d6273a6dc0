"""What a run ends with: where the model is, what was measured and what was not, and the next command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kerasprune.cli.command_line import command_line
from kerasprune.cli.tables import print_costs

if TYPE_CHECKING:
    from kerasprune.recipes import schema  # pydantic takes a tenth of a second: --help does without


def print_outcome(folder: Path, recipe: schema.Recipe, context: typer.Context) -> None:
    """Prints the summary of a pruned model, and what to do next.

    Args:
        folder: The folder of the run.
        recipe: What was run.
        context: Of the command that ran it.
    """
    from kerasprune.recipes.run_folder import RunFolder

    print_costs(folder)
    typer.echo(RunFolder(folder).report())
    typer.echo(f"report: {folder / 'report.html'}")
    slim = folder / "slim.keras"
    typer.echo(f"slim model: {slim}")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    missing = []
    if recipe.data is not None and summary["slim"]["loss"] is None:
        missing.append("accuracy (the data have no labels)")
    if recipe.data is None:
        missing.append("accuracy (give --data)")
    if "tflite" not in recipe.export:
        missing.append("latency (give --export tflite)")
    if missing:
        typer.echo(f"not measured: {', '.join(missing)}")
    typer.echo(f"next: {_next_command(recipe, context, slim)}")


def print_json(folder: Path) -> None:
    """Prints `summary.json` with the paths of the models, and nothing else."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    files = {name: str(folder / f"{name}.keras") for name in ("dense", "slim")}
    typer.echo(json.dumps({**summary, "folder": str(folder), "files": files}, indent=2))


def _next_command(recipe: schema.Recipe, context: typer.Context, slim: Path) -> str:
    if recipe.finetune is None:
        data = recipe.data.name if recipe.data else "DATA"
        other = {"data": data, "finetune_epochs": 10, "out": f"{context.params['out']}-finetuned"}
        return command_line(context, **other, resume=None, overwrite=None)
    if not recipe.export:
        return shlex.join(["kerasprune", "export", str(slim), "--format", "tflite", "--out", f"{slim.stem}.tflite"])
    return f"keras.models.load_model({str(slim)!r}), or the files in {slim.parent / 'exports'}"
