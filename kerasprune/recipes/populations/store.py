"""Finished parts of a workflow on disk, with the settings they depend on; an interrupted workflow resumes from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import keras
import numpy as np

from kerasprune.errors import PruneError
from kerasprune.files import is_file, path_of, read_json, replace_when_done, write_json
from kerasprune.files.made_of import MADE_OF, check_made_of, check_settings
from kerasprune.files.writing import claim_store
from kerasprune.graph.built_model import body_of
from kerasprune.recipes.populations.engine import plain


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
        self._folder, self.name, self._settings = None if folder is None else path_of(folder), name, dict(settings)
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
            PruneError: Another process makes parts of this name right now; or the part was made with other settings,
                or does not say with which.
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
                        write_json(temporary / MADE_OF, self._settings)
                    return made
        made_of = folder / MADE_OF
        check_made_of(folder, read_json(made_of) if is_file(made_of) else None, self._settings)
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
