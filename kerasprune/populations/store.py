"""The finished parts of a workflow, on disk: a workflow that was killed goes on from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras

from kerasprune.files import read_json, replacing, write_json
from kerasprune.files.keras_model import load_model
from kerasprune.graph.walk import functional
from kerasprune.plans import Plan
from kerasprune.training.depth_width_resolution import Point
from kerasprune.workflows.claim import claimed
from kerasprune.workflows.identity import check_settings

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
        self._folder, self._name = None if folder is None else Path(folder), name
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
            with claimed(self._folder / self._name):
                if not folder.exists():  # nobody was quicker
                    made = make()
                    with replacing(folder) as temporary:
                        temporary.mkdir()
                        save(temporary, made)
                    return made
        return load(folder)

    def point(self, number: int, train: Callable[[], Point]) -> Point:
        """Returns a finished point, or trains it and keeps it."""
        return self.kept(f"{self._name}-{number}", train, _save_point, _load_point)


def _save_point(folder: Path, point: Point) -> None:
    # A second model over the same layers: what is saved holds neither optimiser nor loss.
    body = functional(point.model)
    keras.Model(body.inputs, body.outputs, name=point.model.name).save(folder / "model.keras")
    point.plan.save(folder / "plan.json")
    write_json(folder / "point.json", point.facts)


def _load_point(folder: Path) -> Point:
    facts = read_json(folder / "point.json", "a finished point")
    return Point(**facts, plan=Plan.load(folder / "plan.json"), model=load_model(folder / "model.keras"))
