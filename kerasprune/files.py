"""Files that are whole or absent: each is written beside its place and then moved there in one step."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place where the block ends without an error.

    Args:
        path: The file or folder to write. A file there is replaced; a folder must not be there.

    Yields:
        The temporary path, with the same suffix. It is removed where the block raises; one that a killed process of
        the same number has left is removed before.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['note.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    _remove(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> Path:
    """Writes text (UTF-8) in one step and returns the path."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: Path | str, data: Any) -> Path:
    """Writes data as indented JSON in one step and returns the path; NaN and infinity are refused."""
    return write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def read_rows(path: Path | str) -> list[dict[str, str]]:
    """Returns the rows of a CSV file with a head, as text; none where there is no file."""
    if not Path(path).exists():
        return []
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path | str, rows: Sequence[Mapping[str, Any]], first: Sequence[str] = ()) -> Path:
    """Writes a CSV file in one step and returns its path: the columns of all rows, `first` before the others."""
    columns = list(dict.fromkeys([*first, *(column for row in rows for column in row)]))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return Path(path)
