"""The folder in which batches of drawn examples are saved as soon as they are finished."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.files.arrays import read_arrays
from kerasprune.files.made_of import check_made_of, check_settings
from kerasprune.files.reading import is_file, parse_json, path_of
from kerasprune.files.writing import make_folder, replace_when_done

_SETTINGS, _MADE_OF = "drawn.json", "made_of"


class SavedBatches:
    """Batches in a folder, with the settings that determine them.

    Args:
        folder: The folder, which is made if it is missing; if `None`, nothing is saved.
        settings: The settings, as JSON.

    Raises:
        PruneError: The folder holds batches of other settings.
    """

    def __init__(self, folder: str | Path | None, settings: Mapping[str, Any]) -> None:
        self._folder, self._settings = None if folder is None else make_folder(path_of(folder)), dict(settings)
        if self._folder is not None:
            for path in self._folder.glob("[0-9]*.npz") if not is_file(self._folder / _SETTINGS) else ():
                self.read(int(path.stem))  # not called this model's before each says that it is
            check_settings(self._folder / _SETTINGS, self._settings)

    def __len__(self) -> int:
        """Returns the number of batches."""
        return 0 if self._folder is None else len(list(self._folder.glob("[0-9]*.npz")))

    def read(self, number: int) -> list[np.ndarray] | None:
        """Returns the flat inputs of a batch, or `None` if it is not finished.

        Raises:
            PruneError: The file was drawn for another model or with other settings, does not say for which, or holds
                numbers that are not finite.
        """
        if self._folder is None or not is_file(self._path(number)):
            return None
        path = self._path(number)
        found = read_arrays(path)
        made_of = found.pop(_MADE_OF, None)
        check_made_of(path, None if made_of is None else parse_json(str(made_of), str(path)), self._settings)
        shapes = {name: list(array.shape[1:]) for name, array in found.items() if _is_finite(array)}
        if shapes != {f"input_{n}": list(shape) for n, shape in enumerate(self._settings["shapes"])}:
            raise PruneError(
                f"Expected finite examples, one array for each input. Received: {str(path)!r}, with others. "
                "Take another folder, or remove this file: it is drawn again."
            )
        return [found[f"input_{n}"] for n in range(len(found))]

    def write(self, number: int, inputs: Sequence[np.ndarray]) -> None:
        """Saves the flat inputs of a batch, if there is a folder."""
        if self._folder is None:
            return
        with replace_when_done(self._path(number)) as temporary:
            arrays = {f"input_{n}": array for n, array in enumerate(inputs)}
            np.savez(temporary, **arrays, **{_MADE_OF: json.dumps(self._settings)})

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.npz"


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind in "biu" or array.dtype.kind == "f" and bool(np.isfinite(array).all())
