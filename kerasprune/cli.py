"""The command line. Every command is a few lines over a function of the library.

Heavy imports are inside the commands, so that `--help` is quick. Where something cannot be done as asked, a command
says so in plain words on standard error and ends with exit code 2.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from kerasprune.errors import PruneError, nearest

if TYPE_CHECKING:
    import keras

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended


class Commands(TyperGroup):
    """Commands whose `PruneError` is a message, not a traceback."""

    def invoke(self, context: Any) -> Any:
        """Runs a command."""
        try:
            return super().invoke(context)
        except PruneError as error:
            Console(stderr=True).print(Text(str(error)), soft_wrap=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            Console(stderr=True).print("Interrupted. What is finished is on disk: carry on with --resume.")
            raise typer.Exit(INTERRUPTED) from interrupt


app = typer.Typer(
    cls=Commands,
    help="Make Keras 3 models genuinely smaller.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of a .yaml file.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Path of a .keras file.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write; must be empty or not there yet.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.KEY=VALUE", help="Change one key; may be repeated.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Allow package.module:Name, which imports that code.")]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="FILE.py|PACKAGE", help="Code with classes of the model; needs --trust."),
]
Size = Annotated[int | None, typer.Option("--size", help="Image side in pixels, where the model leaves it free.")]


@app.command()
def run(
    recipe: RecipeName,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", help="Defaults to runs/RECIPE-HASH.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Carry on with the first unfinished stage.")] = False,
    trust: Trust = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Try every stage on generated images.")] = False,
) -> None:
    """Run a recipe: train, prune, rebuild, fine-tune, test, export, report."""
    from kerasprune.recipes.runner import run as run_recipe

    folder = run_recipe(
        recipe, out, settings=settings or [], resume=resume, trust=trust, smoke=smoke, console=Console()
    )
    _show_summary(folder)


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
) -> None:
    """Prune a trained model at once, and fine-tune it where --finetune-epochs says so.

    Composite layers and subclassed models are written out as plain layers first.
    """
    from kerasprune.recipes import loader
    from kerasprune.recipes.runner import run as run_recipe

    if keep is None and macs is None and params is None:
        raise PruneError("Expected how much stays: --keep, --macs or --params. Received: none of them.")
    _import(imports, trust)
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
    folder = run_recipe(loader.check(recipe, source=f"Pruning {model.name}"), out, console=Console())
    _show_summary(folder)


@app.command()
def inspect(
    model: ModelPath,
    coupling: Annotated[str, typer.Option(help="tied, free or padded.")] = "tied",
    size: Size = None,
    imports: Import = None,
    trust: Trust = False,
) -> None:
    """Show which channels of a model are coupled, and what its layers cost."""
    from kerasprune.costs.cost import cost as count
    from kerasprune.graph.trace import trace
    from kerasprune.surgery.inline import plain

    _import(imports, trust)
    loaded = plain(_load(model))
    graph = trace(loaded, coupling=coupling, unknown="freeze", resolution=size)
    typer.echo(graph.report())
    if size is None and None in loaded.inputs[0].shape[1:]:
        typer.echo("\nThe image side is free: give --size to see multiply–adds.")
        return
    cost = count(graph)
    macs = [f"≈ {layer.estimated:,}" if layer.estimated else f"{layer.macs:,}" for layer in cost.layers]
    rows = [(layer.name, layer.kind, f"{layer.params:,}", n) for layer, n in zip(cost.layers, macs, strict=True)]
    _print_table(
        "",
        ("layer", "class", "parameters", "MACs"),
        [*rows, ("total", "", f"{cost.params:,}", f"{cost.macs:,}")],
    )
    if cost.estimated:
        typer.echo(f"≈ layers without a rule: some {cost.estimated:,} MACs, not in the total.")


@app.command()
def export(
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", help="File or folder to write; must not be there yet.")],
    format: Annotated[str, typer.Option("--format", help="saved_model, tflite, tflite-float16, tflite-int8.")],
    data: Annotated[str | None, typer.Option(help="Data set to check and calibrate with.")] = None,
    size: Size = None,
    imports: Import = None,
    trust: Trust = False,
) -> None:
    """Write a model for use without Keras, and measure what was written."""
    from kerasprune.recipes.formats import find

    form = find(format)
    if form.calibrates and data is None:
        raise PruneError(f"Expected images to calibrate {format} with. Received: no --data. Give --data NAME.")
    _import(imports, trust)
    loaded = _load(model)
    images = None if data is None else _images(data, size or loaded.inputs[0].shape[1] or 32)
    with Console(stderr=True).status(f"export {format}"):
        written = form.write(loaded, out, data=images, size=size, overwrite=False)
    typer.echo(str(written))


@app.command("ls")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="models, data, criteria, budgets, callbacks or recipes.")] = None,
) -> None:
    """List what can be named in recipes and options."""
    from kerasprune import recipes

    known: dict[str, Callable[[], list[str]]] = {
        "models": _names_of("models"),
        "data": _names_of("data"),
        "criteria": _names_of("criteria"),
        "budgets": _names_of("budgets"),
        "callbacks": _names_of("callbacks"),
        "recipes": recipes.names,
    }
    if kind is not None and kind not in known:
        raise PruneError(f"Expected one of {', '.join(known)}. Received: {kind!r}.{nearest(kind, known)}")
    for name in [kind] if kind else known:
        typer.echo(f"{name}:")
        for member in known[name]():
            typer.echo(f"  {member}")


@app.command()
def validate(recipe: RecipeName, settings: Settings = None, trust: Trust = False) -> None:
    """Check a recipe without running it; all faults are listed."""
    from kerasprune.recipes import loader, runner

    checked = loader.load(recipe, settings or [], trust=trust)
    typer.echo(f"{checked.name} is valid: {', '.join(runner.names(checked))} ({checked.status}).")


@app.command()
def show(recipe: RecipeName) -> None:
    """Show the file of a recipe."""
    from kerasprune.recipes import loader

    typer.echo(loader.find(recipe).read_text(encoding="utf-8").rstrip())


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")]) -> None:
    """Draw report.html anew from the files of a run folder."""
    from kerasprune import reports

    typer.echo(str(reports.write(folder)))


@app.command()
def reproduce(
    name: Annotated[str | None, typer.Argument(help="Which published figures to recompute.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the entries.")] = False,
) -> None:
    """Recompute published figures; exit code 1 where one differs."""
    from kerasprune.recipes.reproductions import reproduce as reproductions

    if listing or name is None:
        for known in reproductions.names():
            typer.echo(f"{known}: {reproductions.describe(known)}")
        return
    outcome = reproductions.reproduce(name)
    rows = [row.cells for row in outcome.rows]
    _print_table(name, ("what", "paper", "ours", "tolerance", ""), rows)
    typer.echo(reproductions.comment(name))
    typer.echo(f"verdict: {outcome.verdict}")
    if outcome.verdict == "differs":
        raise typer.Exit(1)


def _load(path: Path) -> keras.Model:
    from kerasprune.recipes.run_folder import load_model

    return load_model(path)


def _import(names: list[str] | None, trust: bool) -> None:
    from kerasprune.recipes.lookup import import_classes

    for name in names or ():
        import_classes(name, trust=trust)


def _images(name: str, size: int) -> Any:
    from kerasprune.data import load

    return load(name, size=size, split="validation").map(lambda image, label: image)


def _names_of(package: str) -> Callable[[], list[str]]:
    def names() -> list[str]:
        import importlib

        return importlib.import_module(f"kerasprune.{package}").names()

    return names


def _show_summary(folder: Path) -> None:
    from kerasprune import reports
    from kerasprune.reports import tables

    record = reports.read(folder)
    _print_table("", ("", "dense", "slim", "change"), tables.before_after(record.summary))
    _print_table("", ("", "expected", "here"), tables.expected(record.recipe, record.summary))
    typer.echo(f"report: {folder / 'report.html'}")


def _print_table(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(title=title or None)
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> None:
    """Runs the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Every stage traces its own step, which TensorFlow warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    app()
