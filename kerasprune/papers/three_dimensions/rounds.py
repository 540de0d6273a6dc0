"""Shrinks a model along one dimension, step by step, and trains it after each step."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, formerly
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensions.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensions.depth_width_resolution import (
    NOTHING,
    Extent,
    Judges,
    Point,
    check_blocks,
    check_rounds,
    continued,
    measured_point,
    steps,
)
from kerasprune.papers.three_dimensions.finished_points import finished
from kerasprune.plans import Plan
from kerasprune.populations.store import Store, TrainAndJudge, checksum
from kerasprune.surgery.rebuild import rebuild


@formerly(to="keep")
def rounds(
    model: keras.Model,
    fit: TrainAndJudge,
    dimension: str,
    *,
    keep: float,
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

    `x_n = x_{n−1} − (1 − keep) / rounds`; M_n is M_{n−1} pruned to x_n and trained.

    Importance is taken from M_{n−1}. Built are whole blocks, channels and pixels, and these are what the points tell.

    Args:
        model: The trained dense model; it is left untouched.
        fit: Trains a model, see `kerasprune.populations.store.TrainAndJudge`.
        dimension: `"depth"`, `"width"` or `"resolution"`.
        keep: Fraction of the dimension that the last round keeps.
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

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> def fit(model, *, resolution, epochs, seed):
        ...     return 0.9  # here: model.compile(…), model.fit(…, epochs=epochs), its accuracy
        >>> points = kp.rounds(model, fit, "width", keep=0.5, rounds=2, channels="l1")
        >>> [point.model.get_layer("hidden").units for point in points]
        [6, 4]

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Algorithm 1.
    """
    check_rounds(dimension, keep, rounds, epochs_per_round)
    extent = Extent.of(model, resolution)
    if dimension == "depth":
        check_blocks(model, extent)
    judges = Judges(blocks, channels, data, seed)
    settings = {"dimension": dimension, "keep": keep, "rounds": rounds, "epochs_per_round": epochs_per_round}
    settings |= {"side": extent.side, "seed": seed, "model": trace(model, unknown="freeze").fingerprint}
    settings |= {"weights": checksum(model)} | judges.described((dimension,))
    store = Store(folder, dimension, settings)
    before, done, points = model, NOTHING, []
    for number, fraction in enumerate(steps(keep, rounds), 1):

        def train(before: keras.Model = before, done: Plan = done, fraction: float = fraction) -> Point:
            step = judges.next_plan(before, extent, dimension, fraction)
            return built_point(before, step, extent, fit, epochs_per_round, seed, done)

        point = finished(store, number, train)
        before, done = point.model, point.plan
        points.append(point)
    return points


def built_point(
    model: keras.Model, step: Plan, extent: Extent, fit: TrainAndJudge, epochs: int, seed: int, done: Plan = NOTHING
) -> Point:
    """Returns what becomes of a model when a plan is carried out and the result trained.

    Args:
        model: The dense model, or what another plan has made of it.
        step: The plan.
        extent: Of the dense model.
        fit: Trains a model.
        epochs: Epochs of training.
        seed: Handed to `fit`.
        done: The plan that led from the dense model to this one. Defaults to none.
    """
    side = step.resolution or done.resolution or extent.side
    slim = rebuild(model, step, absorb=False)
    accuracy = _accuracy(fit(slim, resolution=side, epochs=epochs, seed=seed))
    return measured_point(slim, extent, side, accuracy, continued(done, step))


def _accuracy(returned: Any) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if np.isfinite(float(returned)):
            return float(returned)
    raise PruneError(
        f"Expected a finite accuracy from fit. Received: {returned!r}. Let fit return what it measures; where that is "
        "not finite, training may have diverged."
    )
