"""Lists, checks and shows named things, and writes a recipe to begin with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from kerasprune.callbacks.registry import callbacks
from kerasprune.cli.application import commands
from kerasprune.cli.options import RecipeName, Settings, Trust
from kerasprune.cli.startup import start
from kerasprune.criteria.registry import criteria
from kerasprune.errors import PruneError, nearest
from kerasprune.models.registry import models
from kerasprune.models.sets import lookup as data
from kerasprune.planning.budgets.registry import budgets
from kerasprune.recipes import library

KINDS: dict[str, Callable[[], list[str]]] = {
    "recipes": library.names,
    "data": data.names,
    "models": models.names,
    "criteria": criteria.names,
    "budgets": budgets.names,
    "callbacks": callbacks.names,
}
FAMILIES = {"models": models, "criteria": criteria, "budgets": budgets, "callbacks": callbacks}


@commands.command("ls")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="recipes, data, models, criteria, budgets or callbacks.")] = None,
) -> None:
    """List the recipes that can be run here, and what can be named in recipes and options, each with a line."""
    if kind is not None and kind not in KINDS:
        raise PruneError(f"Expected one of {', '.join(KINDS)}. Received: {kind!r}.{nearest(kind, KINDS)}")
    for name in [kind] if kind else KINDS:
        if name == "recipes":
            _list_recipes(whole=kind is not None)
        else:
            more = {"tfds:NAME": "is prepared by tensorflow-datasets; see --data of prune for your own"}
            known = {each: _summary(name, each) for each in KINDS[name]()}
            _list(f"{name}:", known | (more if name == "data" else {}))


def _summary(kind: str, name: str) -> str:
    from kerasprune.recipes.listing import summary

    return summary(FAMILIES[kind], name) if kind in FAMILIES else data.NAMED[name]


def _list(title: str, lines: Mapping[str, str]) -> None:
    typer.echo(title)
    width = max(map(len, lines), default=0)
    for name, line in lines.items():
        typer.echo(f"  {name:{width}}  {line}".rstrip())


def _list_recipes(*, whole: bool) -> None:
    """Lists the recipes whose data and papers are here, and the others if the list is to be whole."""
    from kerasprune.recipes.listing import describe_recipe

    lines = {name: describe_recipe(name) for name in library.names()}
    absent = {name: f"{line.why} Needs {', '.join(line.lacks)}." for name, line in lines.items() if line.lacks}
    known = {name: line for name, line in lines.items() if name not in absent}
    others = {name: str(line) for name, line in known.items() if not line.here}
    _list(
        "recipes that can be run here:", {name: f"{line.why} {line.cost}." for name, line in known.items() if line.here}
    )
    for title, left in {"whose data are not here": others, "whose papers are not installed": absent}.items():
        if left and whole:
            _list(f"recipes {title}:", left)
        elif left:
            typer.echo(f"  and {len(left)} {title}: kerasprune ls recipes")


@commands.command()
def validate(recipe: RecipeName, settings: Settings = None, trust: Trust = False) -> None:
    """Check a recipe without running it; all faults are listed."""
    from kerasprune.recipes import loader
    from kerasprune.recipes.schema import only_hands_on, stage_names

    library.find(recipe)
    start()  # arguments are checked by the signatures of classes and functions
    checked = loader.load(recipe, settings or [], trust=trust)
    if checked.prune and checked.prune.plan:
        from kerasprune.recipes.runner import check_plan  # after the start, since it imports TensorFlow

        check_plan(checked)
    stages = [name for name in stage_names(checked) if not only_hands_on(checked, name)]
    typer.echo(f"{checked.name} is valid: {', '.join(stages)} ({checked.status}).")


@commands.command()
def show(recipe: RecipeName) -> None:
    """Show the file of a recipe."""
    typer.echo(library.find(recipe).read_text(encoding="utf-8").rstrip())


@commands.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="Must not be there yet.")] = Path("recipe.yaml"),
) -> None:
    """Write a recipe with comments, to begin with, and the JSON schema for editors next to it."""
    from kerasprune.recipes import starter

    start()
    written = starter.init(path)
    typer.echo(f"{written} is written. Next: {shlex.join(['kerasprune', 'validate', str(written)])}")


@commands.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from kerasprune.recipes import starter

    start()
    typer.echo(starter.schema_json(), nl=False)
