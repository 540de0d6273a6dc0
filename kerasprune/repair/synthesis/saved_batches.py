"""The folder in which batches of drawn examples are saved as soon as they are finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.files.arrays import read_arrays
from kerasprune.files.reading import is_file, path_of, read_json
from kerasprune.files.writing import make_folder, replace_when_done, write_json

_SETTINGS = "drawn.json"


class SavedBatches:
    """Batches in a folder, with the settings that determine them.

    Args:
        folder: The folder, which is made if it is missing; if `None`, nothing is saved.
        settings: The settings, as JSON.

    Raises:
        PruneError: The folder holds batches of other settings.
    """

    def __init__(self, folder: str | Path | None, settings: Mapping[str, Any]) -> None:
        self._folder = None if folder is None else make_folder(path_of(folder))
        if self._folder is None:
            return
        path = self._folder / _SETTINGS
        if is_file(path):
            if read_json(path) != settings:
                raise PruneError(
                    "Expected a folder of examples drawn for the same model with the same settings. Received: "
                    f"store={str(self._folder)!r}. Name another folder."
                )
        else:
            write_json(path, settings)

    def __len__(self) -> int:
        """Returns the number of batches."""
        return 0 if self._folder is None else len(list(self._folder.glob("[0-9]*.npz")))

    def read(self, number: int) -> list[np.ndarray] | None:
        """Returns the flat inputs of a batch, or `None` if it is not finished."""
        if self._folder is None or not is_file(self._path(number)):
            return None
        found = read_arrays(self._path(number))
        return [found[f"input_{n}"] for n in range(len(found))]

    def write(self, number: int, inputs: Sequence[np.ndarray]) -> None:
        """Saves the flat inputs of a batch, if there is a folder."""
        if self._folder is None:
            return
        with replace_when_done(self._path(number)) as temporary:
            np.savez(temporary, **{f"input_{n}": array for n, array in enumerate(inputs)})

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.npz"
