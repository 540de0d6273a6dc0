"""Temporary files of saves: recognised by name, and removed by the next save if their process is dead."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
from pathlib import Path

_NAME = re.compile(r"^\..*\.kerasprune-([0-9a-f]{6})-([0-9]{1,10})(\.[^.]*)?$", re.S)
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_STARTED = time.time()
_OLD = 24 * 3600  # seconds after which no save is still under way, whatever machine it ran on
_STEM = 100  # characters of the name that are kept, so that the whole is a legal name


def temporary_name(path: Path) -> Path:
    """Returns the path next to `path` that this process writes to first; it ends in the same suffix."""
    return path.with_name(f".{path.stem[:_STEM]}.kerasprune-{_HOST}-{os.getpid()}{path.suffix}")


def remove_strays(folder: Path) -> list[Path]:
    """Removes the temporary files in a folder, not below it, whose process is dead; nothing else.

    Those of another machine, whose processes cannot be seen, are removed once they are a day old.

    Args:
        folder: The folder; it may be missing.

    Returns:
        The paths that were removed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "note.txt").write_text("mine")
        >>> remove_strays(folder)
        []
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [Path(folder) / name for name in names if is_stray(Path(folder) / name)]
    for path in found:
        try:
            remove(path)
        except OSError:  # another process was quicker, or may not be disturbed
            continue
    return found


def remove(path: Path) -> None:
    """Removes a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_stray(path: Path) -> bool:
    """Returns whether a path is a temporary file of ours whose process is dead."""
    match = _NAME.match(path.name)
    if match is None:
        return False
    try:
        changed = path.lstat().st_mtime
    except OSError:
        return False
    host, number = match[1], int(match[2])
    if host == _HOST and number == os.getpid():
        return changed < _STARTED  # of an earlier process of the same number
    if host == _HOST and not _alive(number):
        return True
    return time.time() - changed > _OLD


def _alive(number: int) -> bool:
    """Returns whether a process of this number runs; `True` if that cannot be known."""
    if os.name != "posix":
        return True
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
