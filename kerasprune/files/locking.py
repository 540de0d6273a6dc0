"""A lock on a file, which the system frees whatever ends the process."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from kerasprune.errors import PruneError
from kerasprune.files.writing import make_folder


@contextlib.contextmanager
def claimed(path: Path, lock: Path | None = None) -> Iterator[None]:
    """Keeps other processes from doing the same work at the same time, by a lock on a file.

    Args:
        path: The store, a file or a folder, which need not be there yet.
        lock: The file that is locked. Defaults to one beside the store.

    Raises:
        PruneError: Another process holds the lock, or the disk takes none.
    """
    file = lock or path.with_name(f".{path.name}.lock")
    make_folder(file.parent)
    try:
        held = sqlite3.connect(file, timeout=0, isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise PruneError(
                f"Expected a place that nobody else is working in. Received: {str(path)!r}, which another process "
                "fills right now. Wait for it, or take another."
            ) from error
        raise PruneError(
            f"Expected a disk on which files can be locked. Received: {str(path)!r} ({error}). "
            "Free some room, or take a store on another disk."
        ) from error
    with contextlib.closing(held):
        try:
            yield
        finally:
            with contextlib.suppress(PermissionError):  # Windows keeps what is open
                file.unlink(missing_ok=True)
