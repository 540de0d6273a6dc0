"""Trained networks on disk: a workflow that was killed goes on from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from kerasprune.files import read_json, write_json
from kerasprune.files.keras_model import load_model
from kerasprune.graph.built_model import functional
from kerasprune.papers.three_dimensions.depth_width_resolution import Point
from kerasprune.plans import Plan
from kerasprune.populations.store import Store


def finished(store: Store, number: int, train: Callable[[], Point]) -> Point:
    """Returns a finished point, or trains it and keeps it."""
    return store.kept(f"{store.name}-{number}", train, _save, _load)


def _save(folder: Path, point: Point) -> None:
    # A second model over the same layers: what is saved holds neither optimiser nor loss.
    body = functional(point.model)
    keras.Model(body.inputs, body.outputs, name=point.model.name).save(folder / "model.keras")
    point.plan.save(folder / "plan.json")
    write_json(folder / "point.json", point.facts)


def _load(folder: Path) -> Point:
    facts = read_json(folder / "point.json", "a finished point")
    return Point(**facts, plan=Plan.load(folder / "plan.json"), model=load_model(folder / "model.keras"))
