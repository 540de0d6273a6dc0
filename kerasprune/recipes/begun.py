"""The recipe that a run was begun with, from its folder."""

from __future__ import annotations

from pathlib import Path

from kerasprune.errors import PruneError, short
from kerasprune.files import is_file, path_of, read_text
from kerasprune.recipes import loader
from kerasprune.recipes.schema import Recipe


def begun(folder: str | Path, *, trust: bool = False) -> Recipe:
    """Returns the recipe of a run, settings included.

    Args:
        folder: The folder of the run.
        trust: Whether `package.module:Name` may be imported. Defaults to `False`.

    Raises:
        PruneError: It is no folder of a run, so there is nothing to resume; or its recipe has faults.
    """
    path = path_of(folder) / "recipe.yaml"
    if not is_file(path):
        raise PruneError(
            f"Expected the folder of a run that was broken off. Received: {short(str(folder))}, which holds no "
            "recipe.yaml: there is nothing to resume. Begin with 'kerasprune run RECIPE'."
        )
    return loader.parse(read_text(path, "the recipe of a run"), source=str(path), trust=trust)
