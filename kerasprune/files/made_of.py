"""What a file or folder was made of: hashes and settings that are kept with it, and compared before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError, short
from kerasprune.files.reading import is_file, read_json
from kerasprune.files.writing import write_json

MADE_OF = "made_of.json"
"""The file of an output folder that holds what it was made of."""


def digest(arrays: Iterable[Any]) -> str:
    """Returns a hash of arrays."""
    import numpy as np

    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    return found.hexdigest()


def named_digest(path: str | Path) -> str:
    """Returns the name and the hash of a file; whatever is no file, such as the name of a data set, as it is."""
    if not is_file(path):
        return str(path)
    path = Path(path).expanduser()
    with path.open("rb") as file:
        return f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"


def check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Checks that work is resumed with its first settings, which are written at the beginning.

    Args:
        path: The JSON file that holds them.
        settings: All that the work depends on, plain data.

    Raises:
        PruneError: The settings differ.
    """
    if path.exists():
        check_made_of(path, read_json(path, "the settings of a workflow"), settings)
    else:
        write_json(path, dict(settings))


def check_made_of(path: Path, begun: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> None:
    """Raises if a file was made of something else, or does not say of what.

    Args:
        path: The file, for the message.
        begun: What it was made of; `None` if it does not say.
        settings: The settings wanted, plain data.

    Raises:
        PruneError: They differ.
    """
    settings = json.loads(json.dumps(settings))  # tuples are lists in files
    if not isinstance(begun, Mapping):
        raise PruneError(
            f"Expected a file that says what it was made of. Received: {str(path)!r}, which does not; wanted is "
            f"{short(settings)}. Take another folder."
        )
    other = [key for key in {**begun, **settings} if not _same(begun.get(key), settings.get(key))]
    if other:
        then, now = (", ".join(f"{key}={values.get(key)!r}" for key in other) for values in (begun, settings))
        raise PruneError(
            f"Expected the settings that {str(path)!r} was begun with: {then}. Received: {now}. "
            "Take the same, or another folder."
        )


def _same(begun: Any, now: Any) -> bool:
    """Returns whether two values of a setting are equal; numbers in lists, such as an optimum, up to rounding."""
    lists = isinstance(begun, list) and isinstance(now, list) and len(begun) == len(now)
    if lists and all(isinstance(each, int | float) for each in [*begun, *now]):
        return all(abs(one - other) <= 1e-9 for one, other in zip(begun, now, strict=True))
    return begun == now
