"""Reads untrusted `.npz` and `.npy` files: sizes are checked, objects refused."""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from kerasprune.errors import PruneError, short
from kerasprune.files.reading import existing_path
from kerasprune.files.system_errors import denied_error

FREE_BYTES = 512 << 20
"""Unpacked bytes that an archive of any size may hold."""
EXPANSION = 64
"""Unpacked bytes over bytes on disk that a larger archive may hold."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(path: Path | str, what: str = "an .npz file") -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` file by name.

    Args:
        path: The file.
        what: The expected kind of file, for the message.

    Raises:
        PruneError: There is no such file, it is damaged, unpacks to far more than it has, or holds objects.
    """
    path = existing_path(path, what)
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
        what: The expected kind of file, for the message.

    Raises:
        PruneError: There is no such file, it is damaged, declares a shape that it has no room for, or holds objects.
    """
    path = existing_path(path, what)
    try:
        with path.open("rb") as file:
            return _array(file, path.name, path.stat().st_size)
    except Exception as error:
        raise _damage(error, path, what) from error


def _damage(error: Exception, path: Path, what: str) -> PruneError:
    """Returns the message for an error of a reader: zip, zlib and NumPy raise anything for damaged files."""
    if isinstance(error, PruneError):
        return error
    if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno is not None:
        return denied_error(error, path, f"{what} that can be read")
    reason = f"{type(error).__name__}: {short(str(error))}"
    return PruneError(f"Expected {what} that is undamaged. Received: {short(str(path))} ({reason}).")


def check_size(archive: zipfile.ZipFile, path: Path) -> None:
    """Checks the declared size of an archive against its size on disk."""
    declared, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
    if declared > max(FREE_BYTES, EXPANSION * size):
        raise PruneError(
            f"Expected an archive of a plausible size. Received: {short(str(path))}, {size:,} bytes that would "
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
        raise ValueError(f"{name} declares the shape {shape}, for which it has no room")
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)
