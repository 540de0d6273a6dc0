"""A recipe that the options of a command amount to, run at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kerasprune.cli.messages import Messages

if TYPE_CHECKING:
    from kerasprune.recipes import schema


def named(model: Path) -> dict[str, str]:
    """Returns the name of a run after the file of its model, and why it is made."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", model.stem).strip("-.") or "model"
    return {"name": name, "why": f"{model.name}, pruned at once."}


def checked(recipe: dict[str, Any], model: Path, trust: bool, room: Path | None) -> schema.Recipe:
    """Returns the recipe, checked; makes room for the run where that is asked for."""
    from kerasprune.recipes import loader
    from kerasprune.recipes.overwrite import make_room

    valid = loader.check(recipe, source=f"Pruning {model.name}", trust=trust)
    if room is not None:
        make_room(room)
    return valid


def run_recipe(
    recipe: schema.Recipe, out: Path, log_file: Path | None, *, quiet: bool, as_json: bool, resume: bool = False
) -> Path:
    """Runs a recipe, its warnings kept, and returns the folder of the run."""
    from kerasprune.recipes.runner import run

    messages = Messages(None if quiet else Console(stderr=True), log_file, out)
    with messages.kept():
        return run(recipe, out, resume=resume, console=Console(quiet=quiet, stderr=as_json))
