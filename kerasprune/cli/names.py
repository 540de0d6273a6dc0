"""Lists, checks and shows named things, and writes a recipe to begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.options import RecipeName, Settings, Trust
from kerasprune.cli.startup import start
from kerasprune.data import lookup as data
from kerasprune.errors import PruneError, nearest
from kerasprune.recipes import library
from kerasprune.registry import budgets, callbacks, criteria, models

KINDS: dict[str, Callable[[], list[str]]] = {
    "models": models.names,
    "data": data.names,
    "criteria": criteria.names,
    "budgets": budgets.names,
    "callbacks": callbacks.names,
    "recipes": library.names,
}


@commands.command("ls")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="models, data, criteria, budgets, callbacks or recipes.")] = None,
) -> None:
    """List what can be named in recipes and options; recipes with their question, cost and requirements."""
    from kerasprune.recipes.listing import described

    if kind is not None and kind not in KINDS:
        raise PruneError(f"Expected one of {', '.join(KINDS)}. Received: {kind!r}.{nearest(kind, KINDS)}")
    for name in [kind] if kind else KINDS:
        typer.echo(f"{name}:")
        for member in KINDS[name]():
            typer.echo(f"  {member}")
            if name == "recipes":
                typer.echo(f"      {described(member)}")


@commands.command()
def validate(recipe: RecipeName, settings: Settings = None, trust: Trust = False) -> None:
    """Check a recipe without running it; all faults are listed."""
    from kerasprune.recipes import loader
    from kerasprune.recipes.schema import only_hands_on, stage_names

    library.find(recipe)
    start()  # arguments are checked by the signatures of classes and functions
    checked = loader.load(recipe, settings or [], trust=trust)
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
    """Write a recipe with comments, to begin with, and the JSON schema for editors beside it."""
    from kerasprune.recipes import starter

    start()
    written = starter.init(path)
    typer.echo(f"{written} is written. Next: kerasprune validate {written}")


@commands.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from kerasprune.recipes import starter

    start()
    typer.echo(starter.schema_json(), nl=False)
