"""Finished parts of a workflow on disk, with the settings they depend on; an interrupted workflow resumes from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import keras
import numpy as np

from kerasprune.checks import is_number
from kerasprune.errors import PruneError
from kerasprune.files import path_of, read_json, replace_when_done, write_json
from kerasprune.files.writing import claim_store
from kerasprune.graph.built_model import body_of
from kerasprune.recipes.populations.engine import plain


def check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Checks that work is resumed with its first settings, which are written at the beginning.

    Args:
        path: The JSON file that holds them.
        settings: All that the work depends on, plain data.

    Raises:
        PruneError: The settings differ.
    """
    if not path.exists():
        write_json(path, dict(settings))
        return
    begun = read_json(path, "the settings of a workflow")
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
    if lists and all(map(is_number, [*begun, *now])):
        return np.allclose(begun, now, rtol=0, atol=1e-9)
    return begun == now


def digest(arrays: Iterable[Any]) -> str:
    """Returns a hash of arrays."""
    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.view(np.uint8) if array.size and array.dtype.kind in "fiub" else repr(array).encode())
    return found.hexdigest()


def checksum(model: keras.Model) -> float:
    """Returns a number that identifies the weights of a model, as stored in folders of points."""
    arrays = (keras.ops.convert_to_numpy(weight).astype("float64") for weight in body_of(model).weights)
    return float(sum(number * np.abs(array).sum() for number, array in enumerate(arrays, 1)))


def describe_criterion(criterion: Any) -> dict[str, Any]:
    """Returns the name and the arguments of a criterion, as plain data."""
    arguments = {name: value for name, value in getattr(criterion, "__dict__", {}).items() if not name.startswith("_")}
    return {"name": type(criterion).__name__, "arguments": plain(arguments, _named)}


def _named(value: Any) -> str:
    """Returns a text for a value without a form in JSON, the same in every process."""
    return repr(value) if isinstance(value, float) else getattr(value, "__qualname__", type(value).__name__)


Part = TypeVar("Part")


class Store:
    """The finished parts of a workflow: each a folder of its own, whole or absent.

    Args:
        folder: The folder that holds them, or `None`: nothing is stored.
        name: Name of the workflow, by which the folder holds its settings.
        settings: All settings that the parts depend on, as plain data; they must be the same on every run.

    Raises:
        PruneError: The folder was begun with other settings.
    """

    def __init__(self, folder: str | Path | None, name: str, settings: Mapping[str, Any]) -> None:
        self._folder, self.name = None if folder is None else path_of(folder), name
        if self._folder is not None:
            check_settings(self._folder / f"{name}.json", settings)

    def kept(
        self, part: str, make: Callable[[], Part], save: Callable[[Path, Part], None], load: Callable[[Path], Part]
    ) -> Part:
        """Returns a finished part, or makes and stores it in one step.

        Args:
            part: The name of its folder.
            make: Function that makes it.
            save: `save(folder, part)` writes its files.
            load: `load(folder)` reads them.

        Raises:
            PruneError: Another process makes parts of this name right now.
        """
        if self._folder is None:
            return make()
        folder = self._folder / part
        if not folder.exists():
            with claim_store(self._folder / self.name):
                if not folder.exists():  # no other process was quicker
                    made = make()
                    with replace_when_done(folder) as temporary:
                        temporary.mkdir()
                        save(temporary, made)
                    return made
        return load(folder)


class TrainAndJudge(Protocol):
    """A function that trains a model: `fit(model, resolution=…, epochs=…, seed=…) -> accuracy`.

    It compiles and trains the model in place on inputs of that side and returns its accuracy on data apart, a
    fraction. With `epochs=0` it only returns the accuracy.
    """

    def __call__(self, model: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        """Trains the model and returns its accuracy."""


def returned_accuracy(returned: Any) -> float:
    """Returns the accuracy that such a function returned, perhaps NaN; raises a `PruneError` if it is no number."""
    try:
        return float(returned)
    except (TypeError, ValueError) as error:
        raise PruneError(
            f"Expected a number from fit. Received: {returned!r}. Return the measured accuracy."
        ) from error
