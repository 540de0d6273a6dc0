"""A recipe to begin with, and the schema for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasprune.cli.application import commands
from kerasprune.cli.startup import start


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
