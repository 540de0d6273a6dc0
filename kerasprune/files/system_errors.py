"""Errors of the operating system (full disk, permissions, names, memory) as messages of one form."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from kerasprune.errors import PruneError, short

Denial = OSError | MemoryError
WRITABLE, USABLE = "a place to write to", "a path that can be used"
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free some room, or give a path on another disk."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Ask for permission, or give another path."),
    errno.ENAMETOOLONG: "Give a shorter name.",
}


class DeniedError(PruneError, OSError):
    """The system denied an operation: a `PruneError` and an `OSError`."""


def denied_error(error: Denial, path: str | PathLike | None = None, expected: str = USABLE) -> DeniedError:
    """Returns the `DeniedError` for an error of the system.

    Args:
        error: The error.
        path: The path concerned. Defaults to the file that the error names.
        expected: The expected kind of path. Defaults to `"a path that can be used"`.

    Example:
        >>> print(denied_error(OSError(28, "No space left on device"), "plan.json"))
        Expected a path that can be used. Received: path='plan.json' (No space left on device). Free some room, or \
give a path on another disk.
    """
    path = getattr(error, "filename", None) if path is None else path
    received = "" if path is None else f"path={short(str(path))} "
    if isinstance(error, MemoryError):
        why = str(error) or "too large"
        return DeniedError(f"Expected data that fit into memory. Received: {received}({why}). Give a smaller one.")
    why, remedy = error.strerror or str(error), _REMEDIES.get(error.errno, "Give another path.")
    if isinstance(error, FileExistsError) and path is not None and Path(path).is_symlink():
        why = "a link to a missing file"
    return DeniedError(f"Expected {expected}. Received: {received}({short(why)[1:-1]}). {remedy}")


@contextmanager
def denials(path: str | PathLike, expected: str = WRITABLE) -> Iterator[None]:
    """Raises errors of the system within the block as a `DeniedError` that names a path."""
    try:
        yield
    except PruneError:
        raise
    except (OSError, MemoryError) as error:
        raise denied_error(error, path, expected) from error
