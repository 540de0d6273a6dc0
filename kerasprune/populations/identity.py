"""What tells finished work from other work: its settings as plain data, and numbers for weights and examples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError
from kerasprune.files import read_json, write_json
from kerasprune.graph.walk import functional
from kerasprune.populations.engine import plain

FORMERLY = {"to": "keep"}
"""Settings that 0.2 wrote by other names."""


def check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Checks that work goes on with the settings that it was begun with, which are written down at its beginning.

    Args:
        path: The JSON file that holds them.
        settings: What the work depends on, plain data.

    Raises:
        PruneError: It was begun with others.
    """
    if not path.exists():
        write_json(path, dict(settings))
        return
    begun = {FORMERLY.get(key, key): value for key, value in read_json(path, "the settings of a workflow").items()}
    other = [key for key in {**begun, **settings} if begun.get(key) != settings.get(key)]
    if other:
        raise PruneError(
            f"Expected the settings that {str(path)!r} was begun with: {_listed(begun, other)}. "
            f"Received: {_listed(settings, other)}. Take the same, or another folder."
        )


def digest(arrays: Iterable[Any]) -> str:
    """Returns a hash of arrays."""
    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.view(np.uint8) if array.size and array.dtype.kind in "fiub" else repr(array).encode())
    return found.hexdigest()


def checksum(model: keras.Model) -> float:
    """Returns a number that another set of weights would hardly have: the one that folders of points hold."""
    return float(
        sum(
            (i + 1) * np.abs(keras.ops.convert_to_numpy(v).astype("float64")).sum()
            for i, v in enumerate(functional(model).weights)
        )
    )


def described(criterion: Any) -> dict[str, Any]:
    """Returns the name and the arguments of a criterion, as plain data."""
    arguments = {name: value for name, value in getattr(criterion, "__dict__", {}).items() if not name.startswith("_")}
    return {"name": type(criterion).__name__, "arguments": plain(arguments, _named)}


def _named(value: Any) -> str:
    """Returns a text, the same in every process, for a value that JSON does not hold."""
    return repr(value) if isinstance(value, float) else getattr(value, "__qualname__", type(value).__name__)


def _listed(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings.get(name)!r}" for name in names)
