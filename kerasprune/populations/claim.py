"""Work that one process does at a time: a lock that the system takes back, whatever ends the process."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from kerasprune.errors import PruneError
from kerasprune.files import make_folder


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keeps other processes from doing the same work at the same time, by a lock on a file beside its store.

    Args:
        path: The store, a file or a folder, which need not be there yet.

    Raises:
        PruneError: Another process holds the lock, or the disk takes none.
    """
    beside = path.with_name(f".{path.name}.lock")
    with closing(_locked(path, beside)):
        try:
            yield
        finally:
            with contextlib.suppress(PermissionError):  # Windows keeps what is open
                beside.unlink(missing_ok=True)


def _locked(path: Path, beside: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    try:
        lock = sqlite3.connect(beside, timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        raise PruneError(_refusal(path, error)) from error
    return lock


def _refusal(path: Path, error: sqlite3.OperationalError) -> str:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return (
            f"Expected a store that nobody else is working on. Received: {str(path)!r}, which another process fills "
            "right now. Wait for it, or take another store."
        )
    return (
        f"Expected a disk on which files can be locked. Received: {str(path)!r} ({error}). "
        "Free some room, or take a store on another disk."
    )
