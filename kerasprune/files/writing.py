"""Writes files whole or not at all: next to their place first, then moved in one step."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from kerasprune.errors import PruneError, short
from kerasprune.files.reading import is_file, path_of
from kerasprune.files.system_errors import WRITABLE, denials, denied_error
from kerasprune.files.temporary_files import remove, remove_strays, temporary_name

_LOCK = re.compile(r"\..*\.lock(-journal|-owner)?")
_PICTURES = (".svg", ".png", ".pdf")
STANDARD_ERROR = 2  # its descriptor


@contextmanager
def replace_when_done(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path next to `path`, which takes its place if the block ends without an error.

    Args:
        path: The file or folder to write. A file there is replaced; a folder must not be there.

    Yields:
        The temporary path, with the same suffix. It is removed if the block raises; those of killed processes are
        removed from the folder before.

    Raises:
        PruneError: There can be no such file; or the system denies an operation of the block, as on a full disk.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replace_when_done(folder / "note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['note.txt']
    """
    path = path_of(path)
    temporary = temporary_name(path)
    with denials(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_strays(path.parent)
        remove(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if (
            isinstance(error, PruneError)
            or error.filename is not None
            and not str(error.filename).startswith(str(temporary))
        ):
            raise  # has its message already, or is about another file
        raise denied_error(error, path, WRITABLE) from error
    finally:
        if temporary.is_symlink() or temporary.exists():
            remove(temporary)


def make_folder(path: Path | str) -> Path:
    """Makes a folder, if it is missing, removes temporary files of killed saves from it, and returns its path.

    Raises:
        PruneError: There can be no such folder.
    """
    path = path_of(path)
    if is_file(path):
        raise PruneError(f"Expected a folder. Received: path={short(str(path))}, which is a file. Give another.")
    with denials(path):
        path.mkdir(parents=True, exist_ok=True)
        remove_strays(path)
    return path


def replace_unprintable() -> None:
    """Has `?` written for characters that the code page of standard output or error lacks, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else there is none, or another takes what is printed
            stream.reconfigure(errors="replace")


@contextmanager
def standard_error_in(file: IO[Any]) -> Iterator[None]:
    """Redirects the descriptor of standard error, to which C++ writes past `sys.stderr`, to an open file."""
    try:
        saved = os.dup(STANDARD_ERROR)
    except OSError:  # the process has none: nothing can be written to it
        yield
        return
    try:
        os.dup2(file.fileno(), STANDARD_ERROR)
        yield
    finally:
        os.dup2(saved, STANDARD_ERROR)
        os.close(saved)


def write_text(path: Path | str, text: str) -> Path:
    """Writes text (UTF-8) in one step and returns the path."""
    path = path_of(path)
    with replace_when_done(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path | str, data: Any) -> Path:
    """Writes data as indented JSON in one step and returns the path; NaN and infinity are refused."""
    return write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def write_rows(path: Path | str, rows: Sequence[Mapping[str, Any]], first: Sequence[str] = ()) -> Path:
    """Writes a CSV file in one step and returns its path: the columns of all rows, `first` before the others."""
    columns = list(dict.fromkeys([*first, *(column for row in rows for column in row)]))
    path = path_of(path)
    with replace_when_done(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def picture_path(path: str | Path) -> Path:
    """Returns a path that ends as a picture does.

    Raises:
        PruneError: It does not.
    """
    path = path_of(path)
    if path.suffix.lower() not in _PICTURES:
        raise PruneError(f"Expected the name of a picture, {', '.join(_PICTURES)}. Received: {str(path)!r}.")
    return path


def write_picture(path: str | Path, drawn: Callable[[str], bytes]) -> Path:
    """Writes a picture in the format that its name ends with, as `drawn("svg")` returns it, and returns its path.

    Raises:
        PruneError: The name does not end as that of a picture does.
    """
    path = picture_path(path)
    content = drawn(path.suffix.lstrip(".").lower())
    with replace_when_done(path) as temporary:
        temporary.write_bytes(content)
    return path


class NoLockError(PruneError):
    """A disk without file locks, such as some network disks."""


def is_lock(path: Path) -> bool:
    """Returns whether a path is a lock or its companion; locks of killed processes block nobody."""
    return _LOCK.fullmatch(path.name) is not None


def _inode(file: Path) -> int | None:
    """Returns the number of a file on its disk, `None` if it is not there."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None


@contextmanager
def claim_store(path: Path, lock: Path | None = None) -> Iterator[None]:
    """Claims a store for this process by a lock on a file.

    Host and process of the owner are written next to it, for the message to other processes.

    Args:
        path: The store, a file or a folder, which may be missing.
        lock: The file that is locked, `.….lock`. Defaults to one next to the store.

    Raises:
        PruneError: Another process holds the lock; or, a `NoLockError`, the disk takes none.
    """
    import sqlite3  # some builds of Python are without

    file = lock or path.with_name(f".{path.name}.lock")
    owner = file.with_name(f"{file.name}-owner")
    make_folder(file.parent)
    try:
        while True:
            before = _inode(file)
            held = sqlite3.connect(file, timeout=0, isolation_level=None)
            held.execute("BEGIN EXCLUSIVE")
            if before is not None and before == _inode(file):
                break  # else the owner before has removed the file that is locked now
            held.close()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            who = ""
            with suppress(OSError):
                who = owner.read_text(encoding="utf-8")
            raise PruneError(
                f"Expected a path to which no other process writes. Received: {str(path)!r}, which another process "
                f"is writing now{who}. Wait for it, or choose another."
            ) from error
        raise NoLockError(
            f"Expected a disk on which files can be locked. Received: {str(path)!r} ({error}). "
            "Free some room, or take a store on another disk."
        ) from error
    with closing(held):
        try:
            with suppress(OSError):  # only the message would lack it
                owner.write_text(f", {os.getpid()} on {platform.node()}", encoding="utf-8")
            yield
        finally:
            with suppress(OSError):  # Windows does not remove open files
                owner.unlink(missing_ok=True)
                file.unlink(missing_ok=True)
