"""Reads untrusted files: their size and depth are bounded."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from contextlib import suppress
from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from kerasprune.errors import PruneError, short
from kerasprune.files.system_errors import denials

MOST_BYTES = 32 << 20
"""Of a text file that is read as a whole."""
MOST_DEPTH = 200
"""Lists and objects inside one another."""
MOST_CONTAINERS = 1_000_000
"""Lists and objects in one file."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.S)


def path_of(value: Any) -> Path:
    """Returns a path, `~` expanded; raises `PruneError` if the value names none, or one that no disk takes."""
    try:
        path = Path(value).expanduser()
        with denials(path, "a path"), suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.lstat()
    except PruneError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise PruneError(f"Expected a path. Received: path={short(value)} ({error}).") from error
    if value == "":
        raise PruneError("Expected a path. Received: path='', an empty text. Give '.' for the folder that you are in.")
    return path


def is_file(path: Path | str) -> bool:
    """Returns whether a path, which may begin with `~`, is a file; `False` for one that cannot be a path."""
    try:
        return Path(path).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def is_folder(path: Path | str) -> bool:
    """Returns whether a path, which may begin with `~`, is a folder; `False` for one that cannot be a path."""
    try:
        return Path(path).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):
        return False


def existing_path(path: Path | str, what: str) -> Path:
    """Returns the path of a file; raises `PruneError` if it is missing.

    Args:
        path: The file.
        what: The expected kind of file, for the message, e.g. `"a plan file"`.
    """
    path = path_of(path)
    if not is_file(path):
        raise PruneError(f"Expected the path of {what}. Received: path={short(str(path))}, which is not a file.")
    return path


def read_text(path: Path | str, what: str = "a file", most: int = MOST_BYTES) -> str:
    """Returns the text of a file.

    Args:
        path: The file.
        what: The expected kind of file, for the message, e.g. `"a plan file"`.
        most: Bytes that it may have. Defaults to 32 MiB.

    Raises:
        PruneError: There is no such file, it is larger, or it is not UTF-8.
    """
    path = existing_path(path, what)
    with denials(path, f"{what} that can be read"), path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise PruneError(f"Expected {what} of at most {most:,} bytes. Received: {short(str(path))}, which has more.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PruneError(
            f"Expected {what} in UTF-8. Received: {short(str(path))}, whose byte {error.start} is not UTF-8. "
            "Save it as UTF-8."
        ) from error


def read_json(path: Path | str, what: str = "a JSON file") -> Any:
    """Returns the data of a JSON file; see `read_text` and `parse_json`."""
    return parse_json(read_text(path, what), short(str(path)), what)


def parse_json(text: str, source: str, what: str = "JSON") -> Any:
    """Returns the data of a JSON text of bounded depth in which every key is unique.

    Args:
        text: The text.
        source: Its origin, for the message.
        what: The expected kind of text. Defaults to `"JSON"`.

    Raises:
        PruneError: It is damaged or too deep, or a key appears twice.
    """
    try:
        _check_depth(text)
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise PruneError(f"Expected {what}. Received: {source}, which is truncated or not JSON ({error}).") from error


def read_rows(path: Path | str) -> list[dict[str, str]]:
    """Returns the rows of a CSV file with a head, as text; none if the file is missing."""
    if not Path(path).exists():
        return []
    try:
        return list(csv.DictReader(StringIO(read_text(path, "a CSV file"), newline="")))
    except csv.Error as error:
        raise PruneError(f"Expected a CSV file. Received: {short(str(path))} ({error}).") from error


def _check_depth(text: str) -> None:
    containers = text.count("[") + text.count("{")
    if containers <= MOST_DEPTH:
        return
    depth = containers = 0
    for match in _TOKEN.finditer(text):
        if match[0] in "[{":
            depth, containers = depth + 1, containers + 1
        elif match[0] in "]}":
            depth -= 1
        if depth > MOST_DEPTH:
            raise ValueError(f"more than {MOST_DEPTH} lists and objects are nested")
        if containers > MOST_CONTAINERS:
            raise ValueError(f"there are more than {MOST_CONTAINERS:,} lists and objects")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the key {short(twice)} appears twice")
    return data


def import_code(name: str) -> ModuleType:
    """Imports a user's code: a `.py` file, or a module, which may be in the current folder; its errors are passed on.

    A file is run once, and again if it has changed.
    """
    if name.endswith(".py"):
        path = Path(name).resolve()
        return _run_file(path, path.stat().st_mtime_ns)
    here = str(Path.cwd())  # where `python -m` looks, but not an installed program
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        if added:
            sys.path.remove(here)


@cache
def _run_file(path: Path, changed: int) -> ModuleType:
    """Runs a file as a module called as the file is."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
