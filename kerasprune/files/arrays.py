"""Arrays that others wrote: an `.npz` file whose members hold what they declare, and no objects."""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from kerasprune.errors import PruneError, short
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
            return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}
    except PruneError:
        raise
    except Exception as error:  # zip, zlib and NumPy raise whatever the reader of a damaged part raises
        reason = f"{type(error).__name__}: {short(str(error))}"
        raise PruneError(f"Expected {what} that is whole. Received: {short(str(path))} ({reason}).") from error


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


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        _check_header(file, info)
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)


def _check_header(file: IO[bytes], info: zipfile.ZipInfo) -> None:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{info.filename} has the unknown version {version}")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError(f"{info.filename} holds objects; write texts as x.astype(str)")
    if min(shape, default=0) < 0 or prod(shape) * max(dtype.itemsize, 1) > max(info.file_size, 1):
        raise ValueError(f"{info.filename} says shape {shape}, which it has not room for")
