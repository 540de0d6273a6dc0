"""Arrays that others wrote: an `.npz` or `.npy` file whose members hold what they declare, and no objects."""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from kerasprune.errors import PruneError, short
from kerasprune.files.denial import denied
from kerasprune.files.reading import existing

FREE_BYTES = 512 << 20
"""What an archive may hold unpacked, however small it is."""
EXPANSION = 64
"""Times its size on disk that an archive may hold unpacked, where that is more."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(path: Path | str, what: str = "an .npz file") -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` file by name.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        PruneError: There is no such file, it is damaged, unpacks to far more than it has, or holds objects.
    """
    path = existing(path, what)
    try:
        with zipfile.ZipFile(path) as archive:
            check_size(archive, path)
            return {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
    except Exception as error:
        raise _damage(error, path, what) from error


def read_array(path: Path | str, what: str = "a .npy file") -> np.ndarray:
    """Returns the array of a `.npy` file.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        PruneError: There is no such file, it is damaged, says a shape that it has no room for, or holds objects.
    """
    path = existing(path, what)
    try:
        with path.open("rb") as file:
            return _array(file, path.name, path.stat().st_size)
    except Exception as error:
        raise _damage(error, path, what) from error


def _damage(error: Exception, path: Path, what: str) -> PruneError:
    """Returns the message for what a reader has raised: zip, zlib and NumPy raise anything at a damaged part."""
    if isinstance(error, PruneError):
        return error
    if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno is not None:
        return denied(error, path, f"{what} that can be read")
    reason = f"{type(error).__name__}: {short(str(error))}"
    return PruneError(f"Expected {what} that is whole. Received: {short(str(path))} ({reason}).")


def check_size(archive: zipfile.ZipFile, path: Path) -> None:
    """Checks what an archive declares against its size on disk.

    Raises:
        PruneError: It would unpack to far more than it has.
    """
    declared, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
    if declared > max(FREE_BYTES, EXPANSION * size):
        raise PruneError(
            f"Expected an archive that holds what it says. Received: {short(str(path))}, {size:,} bytes that would "
            f"unpack to {declared:,}."
        )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        return _array(file, info.filename, info.file_size)


def _array(file: IO[bytes], name: str, size: int) -> np.ndarray:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{name} has the unknown version {version}")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds objects; write texts as x.astype(str)")
    if min(shape, default=0) < 0 or prod(shape) * max(dtype.itemsize, 1) > max(size, 1):
        raise ValueError(f"{name} says shape {shape}, which it has not room for")
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)
