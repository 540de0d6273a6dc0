"""Where the files are that a recipe names: written down so that a run is found and resumed from any folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasprune.data.lookup import NAMED, PREFIXED
from kerasprune.files import is_file, is_folder
from kerasprune.recipes.schema import Recipe, Start


def located(recipe: Recipe) -> Recipe:
    """Returns the recipe with absolute paths in place of those that are relative to the current folder.

    The checkpoint, the data's file or folder (the file of a function too), `data_dir` and `calibrate`. What is below
    the package's recipes, and what is no path, stays as it is.

    Args:
        recipe: The recipe, whose files are there.
    """
    changes: dict[str, Any] = {}
    if isinstance(recipe.model, Start):
        changes["model"] = recipe.model.model_copy(update={"start": _absolute(recipe.model.start)})
    if recipe.data is not None:
        named = recipe.data.name in NAMED or recipe.data.name.partition(":")[0] in PREFIXED
        name = recipe.data.name if named else _absolute(recipe.data.name)
        data_dir = recipe.data.data_dir and str(Path(recipe.data.data_dir).expanduser().absolute())
        changes["data"] = recipe.data.model_copy(update={"name": name, "data_dir": data_dir})
    if recipe.calibrate is not None:
        changes["calibrate"] = _absolute(recipe.calibrate)
    return recipe.model_copy(update=changes)


def _absolute(name: str) -> str:
    """Returns a path of this folder as an absolute one; of `FILE.py:function` that of the file; else the name."""
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py") and is_file(file):
        return f"{_absolute(file)}:{function}"
    path = Path(name).expanduser()
    return str(path.absolute()) if is_file(path) or is_folder(path) else name
