"""Shrinks a model along one dimension, step by step, and trains it after each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.costs.cost import cost
from kerasprune.criteria.base import Criterion
from kerasprune.criteria.blocks.base import BlockCriterion, block_criteria
from kerasprune.errors import PruneError
from kerasprune.files import replacing, write_json
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import functional
from kerasprune.plans import Plan
from kerasprune.surgery.rebuild import rebuild
from kerasprune.training.depth_width_resolution import (
    Extent,
    Point,
    check_blocks,
    check_rounds,
    next_plan,
    steps,
)


class Fit(Protocol):
    """What trains a model: `fit(model, resolution=…, epochs=…, seed=…) -> accuracy`.

    It compiles and trains the model in place on inputs of that side and returns its accuracy on data apart, a
    fraction. With `epochs=0` it only takes the accuracy.
    """

    def __call__(self, model: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        """Trains, and returns the accuracy."""


def rounds(
    model: keras.Model,
    fit: Fit,
    dimension: str,
    *,
    to: float,
    rounds: int = 4,
    epochs_per_round: int = 40,
    resolution: int | None = None,
    data: Any = None,
    blocks: str | dict | BlockCriterion = "discrimination",
    channels: str | dict | Criterion = "bn_scale",
    seed: int = 0,
    folder: str | Path | None = None,
) -> list[Point]:
    """Shrinks a model along one dimension in equal steps; after each it is rebuilt and trained.

    `x_n = x_{n−1} − (1 − to) / rounds`; M_n is M_{n−1} pruned to x_n and trained.

    Importance is taken from M_{n−1}. Built are whole blocks, channels and pixels, and these are what the points tell.

    Args:
        model: The trained dense model; it is left untouched.
        fit: Trains a model, see `kerasprune.workflows.rounds.Fit`.
        dimension: `"depth"`, `"width"` or `"resolution"`.
        to: Fraction that the last round keeps.
        rounds: Number of rounds. Defaults to 4.
        epochs_per_round: Epochs of training after each step. Defaults to 40.
        resolution: Side of the dense model's inputs, in pixels. Defaults to the model's own.
        data: Batches of `(inputs, labels)` for the criterion of blocks, at the dense model's resolution.
        blocks: Criterion of blocks. Defaults to `"discrimination"`.
        channels: Criterion of channels; compared inside each group. Defaults to `"bn_scale"`.
        seed: Handed to `fit` and to the criterion of blocks. Defaults to 0.
        folder: Where every point is kept once it is finished; those that are there are not trained again. Defaults
            to `None`: nothing is written.

    Returns:
        One point per round, with its model.

    Raises:
        PruneError: An argument is out of range, the model's input side is fixed and resolution is to shrink, it has no
            droppable blocks and depth is to shrink, or the folder was begun with other settings.

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Algorithm 1.
    """
    check_rounds(dimension, to, rounds, epochs_per_round)
    extent = Extent.of(model, resolution)
    if dimension == "depth":
        check_blocks(model, extent)
    settings = settings_of(model, dimension, to, rounds, epochs_per_round, extent, seed)
    store = Store(folder, dimension, settings | judged_by((dimension,), blocks, channels))
    last, points = Point(1.0, 1.0, 1.0, float("nan"), 0, 0, extent.side, Plan({}), model), []
    for number, fraction in enumerate(steps(to, rounds), 1):

        def train(before: Point = last, fraction: float = fraction) -> Point:
            step = next_plan(before.model, extent, dimension, fraction, data, blocks, channels, seed)
            return _built(before, step, extent, fit, epochs_per_round, seed)

        last = store.kept(number, train)
        points.append(last)
    return points


def built_point(dense: keras.Model, plan: Plan, extent: Extent, fit: Fit, epochs: int, seed: int) -> Point:
    """Returns what becomes of the dense model when a plan is carried out and the result trained."""
    start = Point(1.0, 1.0, 1.0, float("nan"), 0, 0, extent.side, Plan({}), dense)
    return _built(start, plan, extent, fit, epochs, seed)


def _built(last: Point, step: Plan, extent: Extent, fit: Fit, epochs: int, seed: int) -> Point:
    side = step.resolution or last.side
    slim = rebuild(last.model, step, absorb=False)
    accuracy = _accuracy(fit(slim, resolution=side, epochs=epochs, seed=seed))
    counted = cost(slim, resolution=side)
    fractions = extent.fractions(slim, side)
    plan = replace(last.plan.then(step), fingerprint=last.plan.fingerprint or step.fingerprint)
    return Point(*fractions, accuracy, counted.macs, counted.params, side, plan, slim)


def _accuracy(returned: Any) -> float:
    try:
        accuracy = float(returned)
    except (TypeError, ValueError):
        raise PruneError(
            f"Expected a finite accuracy from fit. Received: {returned!r}. Let fit return what it measures."
        ) from None
    if not np.isfinite(accuracy):
        raise PruneError(f"Expected a finite accuracy from fit. Received: {accuracy!r}. Training may have diverged.")
    return accuracy


def settings_of(
    model: keras.Model, dimension: str, to: float, rounds: int, epochs: int, extent: Extent, seed: int
) -> dict[str, Any]:
    """Returns the settings that points depend on, as plain data; weights by a checksum."""
    return {
        "dimension": dimension,
        "to": to,
        "rounds": rounds,
        "epochs_per_round": epochs,
        "side": extent.side,
        "seed": seed,
        "model": trace(model, unknown="freeze").fingerprint,
        "weights": checksum(model),
    }


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


def checksum(model: keras.Model) -> float:
    """Returns a number that another set of weights would hardly have."""
    return float(
        sum(
            (i + 1) * np.abs(keras.ops.convert_to_numpy(v).astype("float64")).sum()
            for i, v in enumerate(functional(model).weights)
        )
    )


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
        begun = json.loads(path.read_text(encoding="utf-8"))
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
        if self._folder is None or not self._place(number).exists():
            return None
        place = self._place(number)
        facts = json.loads((place / "point.json").read_text(encoding="utf-8"))
        model = keras.models.load_model(place / "model.keras", compile=False)
        return Point(**facts, plan=Plan.load(place / "plan.json"), model=model)

    def save(self, number: int, point: Point) -> None:
        """Writes a point, in one step."""
        if self._folder is None:
            return
        with replacing(self._place(number)) as temporary:
            temporary.mkdir()
            # A second model over the same layers: what is saved holds neither optimiser nor loss.
            body = functional(point.model)
            keras.Model(body.inputs, body.outputs, name=point.model.name).save(temporary / "model.keras")
            point.plan.save(temporary / "plan.json")
            facts = {f: getattr(point, f) for f in ("d", "w", "r", "accuracy", "macs", "params", "side")}
            write_json(temporary / "point.json", facts)

    def _place(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}"


def _listed(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings.get(name)!r}" for name in names)
