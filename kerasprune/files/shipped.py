"""Files that come with the package, beside its recipes."""

from __future__ import annotations

from pathlib import Path

from kerasprune.files.reading import is_file, path_of

FOLDER = Path(__file__).parents[1] / "recipes" / "library"
"""The folder of the package's recipes."""


def here_or_shipped(path: Path | str) -> Path:
    """Returns the path of a file: one of the user's, or else, if there is one, a file beside the package's recipes.

    Args:
        path: The path, as a user gives it.

    Raises:
        PruneError: It is no path.

    Example:
        >>> here_or_shipped("checkpoints/glyphs-base.keras").parent == FOLDER / "checkpoints"
        True
    """
    here = path_of(path)
    return FOLDER / here if is_file(FOLDER / here) and not is_file(here) else here
