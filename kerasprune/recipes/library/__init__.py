"""The YAML recipes that are part of the package."""

from __future__ import annotations

from pathlib import Path

from kerasprune.errors import PruneError, nearest, short
from kerasprune.files import is_file, path_of
from kerasprune.files.shipped import FOLDER


def names() -> list[str]:
    """Returns the names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(recipe: str | Path) -> Path:
    """Returns the file of a recipe: a path that ends in `.yaml`, or the name of one of the package."""
    path = path_of(recipe)
    if path.suffix in {".yaml", ".yml"}:
        if is_file(path):
            return path
        raise PruneError(f"Expected the path of a recipe file. Received: {short(str(recipe))}, which is not a file.")
    if str(recipe) in names():
        return FOLDER / f"{recipe}.yaml"
    raise PruneError(
        f"Expected the name of a recipe ({', '.join(names())}) or the path of a .yaml file. "
        f"Received: {short(str(recipe))}.{nearest(str(recipe), names())}"
    )
