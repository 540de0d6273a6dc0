"""The finished networks of a workflow, on disk: a workflow that was killed goes on from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.criteria.base import Criterion
from kerasprune.criteria.blocks.base import BlockCriterion, block_criteria
from kerasprune.errors import PruneError
from kerasprune.files import read_json, replacing, write_json
from kerasprune.files.keras_model import load_model
from kerasprune.graph.walk import functional
from kerasprune.plans import Plan
from kerasprune.training.depth_width_resolution import Point


class Store:
    """The finished points of a folder: each a folder of its own, whole or absent.

    Args:
        folder: The folder, or `None`: nothing is kept.
        name: What the points are called.
        settings: What they depend on; the folder must have been begun with the same.
    """

    def __init__(self, folder: str | Path | None, name: str, settings: Mapping[str, Any]) -> None:
        self._folder = None if folder is None else Path(folder)
        self._name = name
        if self._folder is None:
            return
        path = self._folder / f"{name}.json"
        if not path.exists():
            write_json(path, dict(settings))
            return
        begun = read_json(path, "the settings of a workflow")
        other = [key for key in {**begun, **settings} if begun.get(key) != settings.get(key)]
        if other:
            raise PruneError(
                f"Expected the settings that {str(path)!r} was begun with: {_listed(begun, other)}. "
                f"Received: {_listed(settings, other)}. Take the same, or another folder."
            )

    def kept(self, number: int, train: Callable[[], Point]) -> Point:
        """Returns a finished point, or trains it and keeps it."""
        point = self.load(number)
        if point is None:
            point = train()
            self.save(number, point)
        return point

    def load(self, number: int) -> Point | None:
        """Returns a finished point, or `None`."""
        if self._folder is None or not (folder := self._folder_of(number)).exists():
            return None
        facts = read_json(folder / "point.json", "a finished point")
        model = load_model(folder / "model.keras")
        return Point(**facts, plan=Plan.load(folder / "plan.json"), model=model)

    def save(self, number: int, point: Point) -> None:
        """Writes a point, in one step."""
        if self._folder is None:
            return
        with replacing(self._folder_of(number)) as temporary:
            temporary.mkdir()
            # A second model over the same layers: what is saved holds neither optimiser nor loss.
            body = functional(point.model)
            keras.Model(body.inputs, body.outputs, name=point.model.name).save(temporary / "model.keras")
            point.plan.save(temporary / "plan.json")
            facts = {f: getattr(point, f) for f in ("d", "w", "r", "accuracy", "macs", "params", "side")}
            write_json(temporary / "point.json", facts)

    def _folder_of(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}"


def judged_by(
    dimensions: Collection[str], blocks: str | dict | BlockCriterion, channels: str | dict | Criterion
) -> dict[str, Any]:
    """Returns the criteria that points along some dimensions depend on, as plain data."""
    judges = {}
    if "depth" in dimensions:
        judges["blocks"] = _described(block_criteria.get(blocks))
    if "width" in dimensions:
        judges["channels"] = _described(criteria.get(channels))
    return judges


def checksum(model: keras.Model) -> float:
    """Returns a number that another set of weights would hardly have."""
    return float(
        sum(
            (i + 1) * np.abs(keras.ops.convert_to_numpy(v).astype("float64")).sum()
            for i, v in enumerate(functional(model).weights)
        )
    )


def _described(criterion: Any) -> dict[str, Any]:
    arguments = {name: value for name, value in getattr(criterion, "__dict__", {}).items() if not name.startswith("_")}
    return {"name": type(criterion).__name__, "arguments": _plain(arguments)}


def _plain(value: Any) -> Any:
    """Returns a value as JSON holds it; what it cannot hold by its name, the same in every process."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return getattr(value, "__qualname__", type(value).__name__)


def _listed(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings.get(name)!r}" for name in names)
