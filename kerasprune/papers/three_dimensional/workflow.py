"""Prunes depth, width and resolution together, in the proportions that a fitted accuracy model finds best."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.checks import fraction_faults, whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensional.accuracy_predictor import MAP
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensional.constraints import Buildable, Constraint, Optimum, Volume
from kerasprune.papers.three_dimensional.extents import DIMENSIONS, Costs, Extent, Point, check_blocks, check_side
from kerasprune.papers.three_dimensional.in_rounds import built_point, finish_point
from kerasprune.papers.three_dimensional.in_rounds import rounds as shrink
from kerasprune.papers.three_dimensional.shrinking_plans import Judges, check_rounds, depth_plan, fractions_by_round
from kerasprune.papers.three_dimensional.surface import Surface
from kerasprune.recipes.populations.store import Store, TrainAndJudge, checksum
from kerasprune.surgery.costs.counts import shares_of
from kerasprune.surgery.rebuild import rebuild

CONSTRAINTS = ("macs", "volume")
"""The cost of a network: its multiply–adds, or the volume d·w²·r²."""
USUAL = Judges()


@dataclass(frozen=True)
class ThreeDimensions:
    """The result of `three_dimensions`.

    Args:
        points: The dense network, then the networks of Algorithm 1: depth, width, resolution, round by round.
        surface: The accuracy model fitted to them.
        optimum: The depth, width and resolution that it predicts to be best.
        importance: Score of every droppable block of the dense network.
        chosen: The network with these dimensions, trained and measured.
    """

    points: tuple[Point, ...]
    surface: Surface
    optimum: Optimum
    importance: dict[str, float] = field(repr=False)
    chosen: Point = field(repr=False)

    @property
    def model(self) -> keras.Model:
        """The slim, trained model."""
        return self.chosen.model

    @property
    def plan(self) -> Plan:
        """The plan from the dense model to it."""
        return self.chosen.plan

    @property
    def frr(self) -> float:
        """Fraction of the multiply–adds removed, Frr of the paper's Eq. 9."""
        return 1 - shares_of(self.chosen, self.points[0])["macs"]

    @property
    def prr(self) -> float:
        """Fraction of the parameters removed, Prr of the paper's Eq. 9."""
        return 1 - shares_of(self.chosen, self.points[0])["params"]


def three_dimensions(
    model: keras.Model,
    fit: TrainAndJudge,
    *,
    macs: float = 0.5,
    data: Any = None,
    size: int | None = None,
    epochs_per_round: int = 40,
    epochs: int = 80,
    rounds: int = 4,
    min_macs: float | None = None,
    constraint: str | Constraint = "macs",
    surface: Surface | None = None,
    blocks: str | dict | BlockCriterion = "discrimination",
    channels: str | dict | Criterion = "bn_scale",
    seed: int = 0,
    folder: str | Path | None = None,
) -> ThreeDimensions:
    """Prunes depth, width and resolution together.

    Algorithm 1 collects points `(d, w, r, accuracy)`: the dense network, and `rounds` networks along each dimension,
    down to `d = T`, `w = √T`, `r = √T`. An accuracy model is fitted to them. The dense network is then pruned to the
    depth, width and resolution that the accuracy model predicts to be best at cost T (blocks by their discrimination,
    channels within every group by |γ|, inputs by resizing), and trained.

    Args:
        model: The trained dense model, with free input sides; it is left untouched.
        fit: Trains a model: `fit(model, resolution=…, epochs=…, seed=…) -> accuracy`; see
            `kerasprune.recipes.populations.store.TrainAndJudge`.
        macs: T, the fraction of the multiply–adds kept. Defaults to 0.5.
        data: Batches of `(inputs, labels)` at the dense model's resolution, for criteria that use data.
        size: Side of the dense model's inputs, in pixels. Defaults to the model's own.
        epochs_per_round: Training epochs of every point. Defaults to 40, as in the paper on CIFAR-10.
        epochs: Epochs of the final training. Defaults to 80.
        rounds: Points along each dimension. Defaults to 4.
        min_macs: The T that the points extend to, so that one collection can serve several budgets. Defaults to `macs`.
        constraint: The cost: `"macs"`, those of the networks that can be built; `"volume"`, d·w²·r²; or any constraint
            of `kp.papers.three_dimensional`. Defaults to `"macs"`.
        surface: The accuracy model. Defaults to `MAP(rank=1, degree=3)`.
        blocks: Criterion of blocks. Defaults to `"discrimination"`.
        channels: Criterion of channels, compared inside each group. Defaults to `"bn_scale"`.
        seed: Seed for `fit` and the criteria. Defaults to 0.
        folder: A folder for finished points, from which a killed job resumes without repeating a training. Defaults to
            `None`: nothing is written.

    Returns:
        The points, the surface, the optimum and the slim model.

    Raises:
        PruneError: An argument is out of range, the model's input side is fixed, it has no droppable blocks, the points
            that can be built do not determine the surface, or the budget cannot be reached.

    Example:
        >>> import kerasprune as kp
        >>> def fit(model, *, resolution, epochs, seed):
        ...     train = kp.data.load("glyphs", size=resolution, augment="crop", seed=seed)
        ...     ...  # compile, model.fit(train, epochs=epochs), evaluate on the validation split
        ...     return accuracy

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions: A Comprehensive Pruning Framework, ICML 2021.
    """
    low = macs if min_macs is None else min_macs
    surface = MAP() if surface is None else surface
    raise_faults("Invalid arguments for three_dimensions:", fraction_faults(macs=macs, min_macs=low))
    check_rounds("depth", low, rounds, epochs_per_round)
    raise_faults("Invalid arguments for three_dimensions:", _faults(macs, low, epochs, constraint, surface))
    extent = check_extent(model, size, low)
    check_points(extent, low, rounds, surface)
    judges = Judges(blocks, channels, data, seed, getattr(model, "loss", None))
    judges.width_plan(model, extent, low**0.5)
    importance = judges.importance(model)
    lower = _alone(macs)
    limit = Volume() if constraint == "volume" else constraint
    if constraint == "macs":
        limit = Buildable(*Costs.of(model, extent, importance, lower).grid())
    limit.check(macs, np.array(lower))
    points = collect(
        model, fit, low, judges,
        rounds=rounds, epochs_per_round=epochs_per_round, size=size, folder=folder,
    )  # fmt: skip
    fitted = surface.fit(*([getattr(point, name) for point in points] for name in ("d", "w", "r", "accuracy")))
    optimum = fitted.optimum(macs, lower, constraint=limit)
    name = constraint if isinstance(constraint, str) else type(constraint).__name__
    settings = {"weights": checksum(model), "optimum": list(optimum), "epochs": epochs, "seed": seed}
    store = Store(folder, f"chosen-{name}-{macs}", settings | judges.described(DIMENSIONS))
    chosen = finished_at(store, model, fit, extent, optimum, importance, judges, epochs)
    return ThreeDimensions(tuple(points), fitted, optimum, importance, chosen)


def collect(
    model: keras.Model,
    fit: TrainAndJudge,
    low: float,
    judges: Judges,
    *,
    rounds: int = 4,
    epochs_per_round: int = 40,
    size: int | None = None,
    folder: str | Path | None = None,
) -> list[Point]:
    """Returns the points of Algorithm 1: the dense network, then along each dimension `rounds` networks.

    Args:
        model: The trained dense model.
        fit: Trains a model; with `epochs=0` it only measures the accuracy.
        low: T: the points extend to `d = T`, `w = √T`, `r = √T`.
        judges: The criteria of blocks and channels.
        rounds: Points along each dimension.
        epochs_per_round: Epochs of training of every point.
        size: Side of the dense model's inputs.
        folder: A folder for finished points.
    """
    extent = Extent.of(model, size)
    settings = {"weights": checksum(model), "side": extent.side, "seed": judges.seed}
    plan = Plan.of(trace(model, unknown="freeze"), {})
    dense = finish_point(
        Store(folder, "dense", settings), 0, lambda: built_point(model, plan, extent, fit, 0, judges.seed)
    )
    points = [dense]
    for dimension, least in zip(DIMENSIONS, _alone(low), strict=True):
        points += shrink(
            model, fit, dimension, keep=least, rounds=rounds, epochs_per_round=epochs_per_round, size=size,
            data=judges.data, blocks=judges.blocks, channels=judges.channels, seed=judges.seed, folder=folder,
        )  # fmt: skip
    return points


def finished_at(
    store: Store,
    model: keras.Model,
    fit: TrainAndJudge,
    extent: Extent,
    target: tuple[float, float, float],
    importance: dict[str, float],
    judges: Judges,
    epochs: int,
) -> Point:
    """Returns the trained network of a target, from the store if it is finished; arguments as for `plan_at`."""

    def train() -> Point:
        plan = plan_at(model, extent, target, importance, judges)
        return built_point(model, plan, extent, fit, epochs, judges.seed)

    return finish_point(store, 1, train)


def plan_at(
    model: keras.Model,
    extent: Extent,
    target: tuple[float, float, float],
    importance: dict[str, float],
    judges: Judges = USUAL,
) -> Plan:
    """Returns the plan of a depth, a width and a resolution.

    Blocks and channels are chosen on the dense model together: the blocks of least importance are removed, then the
    same fraction of channels of every group, by the scores of the layers that are left. The order in which the plan is
    carried out therefore does not matter (except in plain networks, where a block can only be dropped while its inputs
    and outputs have the same channels).

    Args:
        model: The dense model.
        extent: Its extent.
        target: Fractions `(d, w, r)`; the nearest that can be built are taken.
        importance: Score of every droppable block.
        judges: The criterion of channels. Defaults to `Judges()`.
    """
    d, w, r = target
    depth = depth_plan(model, extent, d, importance)
    shallow = rebuild(model, depth, absorb=False) if depth.removed else model
    width = judges.width_plan(shallow, extent, w)
    side = extent.side_at(r)
    check_side(model, side)
    return Plan(width.keep, depth.removed, side, fingerprint=depth.fingerprint)


def _alone(cost: float) -> tuple[float, float, float]:
    """Returns the depth, width and resolution each of which alone has the cost d · w² · r²."""
    return cost, cost**0.5, cost**0.5


def _faults(macs: float, low: float, epochs: int, constraint: str | Constraint, surface: Surface) -> list[str]:
    """Returns the faults of the arguments of `three_dimensions`."""
    faults = whole_number_faults(0, epochs=epochs)
    if low > macs:
        faults.append(f"Expected min_macs ≤ macs, so that the points reach the budget. Received: {low} > {macs}.")
    elif low == 1:
        faults.append("Expected macs < 1, so that the points differ, or min_macs < 1. Received: macs=1.")
    if not isinstance(constraint, Constraint) and constraint not in CONSTRAINTS:
        faults.append(f"Expected constraint to be one of {CONSTRAINTS} or a Constraint. Received: {constraint!r}.")
    if not isinstance(surface, Surface):
        faults.append(
            f"Expected surface to be a Surface, e.g. kp.papers.three_dimensional.MAP(). Received: surface={surface!r}."
        )
    return faults


def check_extent(model: keras.Model, size: int | None, low: float) -> Extent:
    """Returns the extent of a model, having checked that depth and resolution can shrink.

    Args:
        model: The dense model.
        size: Side of its inputs, in pixels; `None`: its own.
        low: The T to be reached.

    Raises:
        PruneError: Its input side is fixed, or it has no blocks that can be dropped.
    """
    extent = Extent.of(model, size)
    check_side(model, extent.side_at(low**0.5))
    check_blocks(model, extent)
    return extent


def check_points(extent: Extent, low: float, rounds: int, surface: Surface) -> None:
    """Checks that the points of Algorithm 1, as they can be built, leave blocks and determine a surface.

    Args:
        extent: The extent of the dense model.
        low: The T that the points go down to.
        rounds: Points along each dimension.
        surface: The accuracy model to be fitted to them.

    Raises:
        PruneError: At T no block would be left, or the surface needs more points, or more different ones.
    """
    if not extent.blocks_at(low):
        raise PruneError(
            f"Expected macs, and min_macs, at which blocks are left. Received: {low}, at which all {extent.blocks} "
            f"would be removed. Choose more than {0.5 / extent.blocks:.3g}."
        )
    points = [extent.built_at()]
    for name, least in zip("dwr", _alone(low), strict=True):
        points += [extent.built_at(**{name: fraction}) for fraction in fractions_by_round(least, rounds)]
    raise_faults(
        f"The surface cannot be fitted to the points of rounds={rounds} down to T = {low}: "
        f"{extent.droppable} of {extent.blocks} blocks can be dropped. Raise rounds=, lower min_macs=, or lower "
        "rank= or degree=, in a recipe or as surface=kp.papers.three_dimensional.MAP(degree=1):",
        surface.faults(*zip(*points, strict=True)),
    )
