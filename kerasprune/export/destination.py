"""The destination of an export: checked first, and replaced in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasprune.errors import Key, PruneError
from kerasprune.files import replace_when_done


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yields a temporary file that takes its place at `path` if the block ends without an error; see `check_file`."""
    check_file(path, overwrite)
    with replace_when_done(path) as temporary:
        yield temporary


@contextmanager
def new_folder(path: Path, holds: str, *, overwrite: bool) -> Iterator[Path]:
    """Yields a temporary folder that takes its place at `path` if the block ends without an error.

    Args:
        path: The folder.
        holds: A file that each such folder holds: `"saved_model.pb"`, or `"config.json"` of a preset.
        overwrite: Whether one that is there is replaced.

    Raises:
        PruneError: As in `new_file`; or `path` is neither empty nor such a folder.
    """
    check_place(path, overwrite)
    replaceable = path.is_dir() and ((path / holds).is_file() or not any(path.iterdir()))
    if path.exists() and not replaceable:
        raise PruneError(
            f"Expected an empty folder to replace, or one with {holds}, so that no other files are lost. "
            f"Received: path={str(path)!r}. Choose a path that does not exist."
        )
    # A full folder cannot be replaced in one step: the old one steps aside, and returns if the new one fails.
    aside = path.with_name(f".{path.name}-{os.getpid()}-replaced")
    try:
        with replace_when_done(path) as temporary:
            yield temporary
            if path.exists():
                os.replace(path, aside)
    finally:
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        shutil.rmtree(aside, ignore_errors=True)


def check_file(path: Path, overwrite: bool) -> None:
    """Raises if no file can be written to a path: it is a folder, or as for `check_place`."""
    if path.is_dir():
        raise PruneError(f"Expected the path of a file. Received: path={str(path)!r}, a folder. Name a file in it.")
    check_place(path, overwrite)


def check_place(path: Path, overwrite: bool) -> None:
    """Raises if the folder of a path is missing, or the path exists and may not be replaced."""
    if not path.parent.is_dir():
        raise PruneError(
            f"Expected an existing folder {str(path.parent)!r}. Received: path={str(path)!r}. "
            "Make the folder first, or correct the path."
        )
    if path.exists() and not overwrite:
        raise PruneError(
            f"Expected a path that does not exist. Received: path={str(path)!r}. Choose another path, or pass ",
            Key("overwrite", "overwrite=True"),
            " to replace it.",
        )
