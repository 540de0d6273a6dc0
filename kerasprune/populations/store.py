"""The finished parts of a workflow, on disk: a workflow that was killed goes on from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import keras

from kerasprune.files import replacing
from kerasprune.populations.claim import claimed
from kerasprune.populations.identity import check_settings

Part = TypeVar("Part")


class Store:
    """The finished parts of a workflow: each a folder of its own, whole or absent.

    Args:
        folder: The folder that holds them, or `None`: nothing is kept.
        name: What they are called.
        settings: What they depend on, plain data; the folder must have been begun with the same.

    Raises:
        PruneError: It was begun with others.
    """

    def __init__(self, folder: str | Path | None, name: str, settings: Mapping[str, Any]) -> None:
        self._folder, self.name = None if folder is None else Path(folder), name
        if self._folder is not None:
            check_settings(self._folder / f"{name}.json", settings)

    def kept(
        self, part: str, make: Callable[[], Part], save: Callable[[Path, Part], None], load: Callable[[Path], Part]
    ) -> Part:
        """Returns a finished part, or makes it and keeps it, in one step.

        Args:
            part: The name of its folder.
            make: Makes it.
            save: `save(folder, part)` writes its files.
            load: `load(folder)` reads them.

        Raises:
            PruneError: Another process makes parts of this name right now.
        """
        if self._folder is None:
            return make()
        folder = self._folder / part
        if not folder.exists():
            with claimed(self._folder / self.name):
                if not folder.exists():  # nobody was quicker
                    made = make()
                    with replacing(folder) as temporary:
                        temporary.mkdir()
                        save(temporary, made)
                    return made
        return load(folder)


class TrainAndJudge(Protocol):
    """What trains a model: `fit(model, resolution=…, epochs=…, seed=…) -> accuracy`.

    It compiles and trains the model in place on inputs of that side and returns its accuracy on data apart, a
    fraction. With `epochs=0` it only takes the accuracy.
    """

    def __call__(self, model: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        """Trains, and returns the accuracy."""
