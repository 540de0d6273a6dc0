"""Shrinks a model along one dimension, step by step, and trains it after each step."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import keras

from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError
from kerasprune.files import read_json, write_json
from kerasprune.files.keras_model import load_model
from kerasprune.graph.built_model import body_of
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensional.extents import NOTHING, Extent, Point, check_blocks, measured_point
from kerasprune.papers.three_dimensional.shrinking_plans import Judges, check_rounds, continue_plan, fractions_by_round
from kerasprune.recipes.populations.store import Store, TrainAndJudge, checksum, returned_accuracy
from kerasprune.surgery.rebuild import rebuild


def rounds(
    model: keras.Model,
    fit: TrainAndJudge,
    dimension: str,
    *,
    keep: float,
    rounds: int = 4,
    epochs_per_round: int = 40,
    size: int | None = None,
    data: Any = None,
    blocks: str | dict | BlockCriterion = "discrimination",
    channels: str | dict | Criterion = "bn_scale",
    seed: int = 0,
    folder: str | Path | None = None,
) -> list[Point]:
    """Shrinks a model along one dimension in equal steps, rebuilding and training it after each.

    `x_n = x_{n−1} − (1 − keep) / rounds`; M_n is M_{n−1} pruned to x_n and trained.

    Scores are those of M_{n−1}. Points hold the dimensions actually built: whole blocks, channels and pixels.

    Args:
        model: The trained dense model; it is left untouched.
        fit: Trains a model, see `kerasprune.recipes.populations.store.TrainAndJudge`.
        dimension: `"depth"`, `"width"` or `"resolution"`.
        keep: Fraction of the dimension that the last round keeps.
        rounds: Number of rounds. Defaults to 4.
        epochs_per_round: Epochs of training after each step. Defaults to 40.
        size: Side of the dense model's inputs, in pixels. Defaults to the model's own.
        data: Batches of `(inputs, labels)` for the criterion of blocks, at the dense model's resolution.
        blocks: Criterion of blocks. Defaults to `"discrimination"`.
        channels: Criterion of channels; compared inside each group. Defaults to `"bn_scale"`.
        seed: Seed for `fit` and the criterion of blocks. Defaults to 0.
        folder: A folder for finished points, which are not trained again. Defaults to `None`: nothing is written.

    Returns:
        One point per round, with its model.

    Raises:
        PruneError: An argument is out of range, the model cannot shrink along the dimension (a fixed input side, no
            droppable blocks), or the folder was begun with other settings.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> def fit(model, *, resolution, epochs, seed):
        ...     return 0.9  # here: model.compile(…), model.fit(…, epochs=epochs), its accuracy
        >>> points = kp.papers.three_dimensional.rounds(model, fit, "width", keep=0.5, rounds=2, channels="l1")
        >>> [point.model.get_layer("hidden").units for point in points]
        [6, 4]

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Algorithm 1.
    """
    check_rounds(dimension, keep, rounds, epochs_per_round)
    extent = Extent.of(model, size)
    if dimension == "depth":
        check_blocks(model, extent)
    judges = Judges(blocks, channels, data, seed, getattr(model, "loss", None))
    settings = {"dimension": dimension, "keep": keep, "rounds": rounds, "epochs_per_round": epochs_per_round}
    settings |= {"side": extent.side, "seed": seed, "model": trace(model, unknown="freeze").fingerprint}
    settings |= {"weights": checksum(model)} | judges.described((dimension,))
    store = Store(folder, dimension, settings)
    before, done, points = model, NOTHING, []
    for number, fraction in enumerate(fractions_by_round(keep, rounds), 1):

        def train(before: keras.Model = before, done: Plan = done, fraction: float = fraction) -> Point:
            step = judges.next_plan(before, extent, dimension, fraction)
            return built_point(before, step, extent, fit, epochs_per_round, seed, done)

        point = finish_point(store, number, train)
        before, done = point.model, point.plan
        points.append(point)
    return points


def built_point(
    model: keras.Model, step: Plan, extent: Extent, fit: TrainAndJudge, epochs: int, seed: int, done: Plan = NOTHING
) -> Point:
    """Rebuilds a model by a plan, trains it and returns its point.

    Args:
        model: The dense model, or one that another plan has made of it.
        step: The plan.
        extent: The extent of the dense model.
        fit: Trains a model.
        epochs: Epochs of training.
        seed: Seed for `fit`.
        done: The plan from the dense model to this one. Defaults to none.
    """
    side = step.resolution or done.resolution or extent.side
    slim = rebuild(model, step, absorb=False)
    accuracy = returned_accuracy(fit(slim, resolution=side, epochs=epochs, seed=seed))
    if not isfinite(accuracy):
        raise PruneError(f"Expected a finite accuracy from fit. Received: {accuracy}. Training may have diverged.")
    return measured_point(slim, extent, side, accuracy, continue_plan(done, step))


def finish_point(store: Store, number: int, train: Callable[[], Point]) -> Point:
    """Returns a finished point from the store, or trains and stores it."""
    return store.kept(f"{store.name}-{number}", train, _save, _load)


def _save(folder: Path, point: Point) -> None:
    # A second model over the same layers: it is saved with neither optimizer nor loss.
    body = body_of(point.model)
    keras.Model(body.inputs, body.outputs, name=point.model.name).save(folder / "model.keras")
    point.plan.save(folder / "plan.json")
    write_json(folder / "point.json", point.facts)


def _load(folder: Path) -> Point:
    facts = read_json(folder / "point.json", "a finished point")
    return Point(**facts, plan=Plan.load(folder / "plan.json"), model=load_model(folder / "model.keras"))
