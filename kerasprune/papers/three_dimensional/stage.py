"""The pruning stage along three dimensions: measured networks, their surface, the plan."""

from __future__ import annotations

from operator import attrgetter

import keras
import numpy as np

from kerasprune.analysis.feature_maps import mean_feature_maps
from kerasprune.graph.plans import Plan
from kerasprune.papers.three_dimensional.accuracy_predictor import MAP
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensional.extents import DIMENSIONS, Point
from kerasprune.papers.three_dimensional.section import ThreeDimensionsSection
from kerasprune.papers.three_dimensional.shrinking_plans import Judges
from kerasprune.papers.three_dimensional.workflow import ThreeDimensions, check_extent, check_points, three_dimensions
from kerasprune.recipes import lookup
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.fit import fit
from kerasprune.recipes.populations.store import checksum
from kerasprune.recipes.stages.context import Run
from kerasprune.surgery.costs.cost import cost

_SHOWN = 6  # images whose feature maps are drawn


def choose(run: Run, model: keras.Model, spec: ThreeDimensionsSection) -> Plan:
    """Returns the plan of the best depth, width and resolution; its points are in `points/` and `points.json`.

    A smoke run, whose images mean nothing, uses the fraction of the multiply–adds as accuracy: so the surface is no
    plane and every stage has something to work on.

    Args:
        run: The run.
        model: The dense model.
        spec: The section of the recipe.
    """
    side = run.recipe.data.side
    dense = cost(model, size=side).macs

    def train(slim: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        del seed  # that of the recipe applies
        if epochs:
            fit(
                run,
                slim,
                spec.training,
                stage=f"point {slim.count_params()} params at {resolution}",
                epochs=epochs,
                training=run.examples("train", slim, batch=spec.training.batch, size=resolution),
                place=f"point-{slim.count_params()}-{resolution}-{checksum(slim):.9e}",
            )
        if run.recipe.smoke:
            return cost(slim, size=resolution).macs / dense
        return run.metrics(slim, run.validation(slim, resolution))["accuracy"]

    result = three_dimensions(
        model,
        train,
        macs=spec.macs,
        data=run.examples("train", model).batches(),
        size=side,
        epochs_per_round=spec.training.epochs,
        epochs=0,  # the fine-tuning stage follows
        rounds=spec.rounds,
        min_macs=spec.min_macs,
        constraint=spec.constraint,
        surface=MAP(spec.rank, spec.degree),
        blocks=blocks_of(run, model, spec),
        channels=lookup.make("criterion", spec.channels.name, spec.channels.arguments),
        seed=run.recipe.seed,
        folder=run.folder.file("points"),
    )
    written = {"macs": spec.macs, "surface": {"rank": spec.rank, "degree": spec.degree}}
    written |= {"points": [point.facts for point in result.points], "optimum": list(result.optimum)}
    run.folder.write_json("points.json", written | {"importance": result.importance})
    run.folder.write_arrays("maps.npz", _maps(run, result))
    return result.plan


def blocks_of(run: Run, model: keras.Model, spec: ThreeDimensionsSection) -> BlockCriterion:
    """Returns the criterion of blocks, with its evaluation images."""
    criterion = lookup.make("block criterion", spec.blocks.name, spec.blocks.arguments)
    return criterion.judged_on(run.validation(model).batches()) if spec.blocks_judged_on == "validation" else criterion


def rehearse(run: Experiment, model: keras.Model, spec: ThreeDimensionsSection) -> None:
    """Raises errors that would come after training: of sides, blocks, points to fit, channels without scores."""
    low = spec.min_macs or spec.macs
    lookup.make("block criterion", spec.blocks.name, spec.blocks.arguments)
    channels = lookup.make("criterion", spec.channels.name, spec.channels.arguments)
    extent = check_extent(model, run.recipe.data.side, low)
    check_points(extent, low, spec.rounds, MAP(spec.rank, spec.degree))
    Judges(channels=channels).width_plan(model, extent, spec.macs**0.5)


def _maps(run: Run, result: ThreeDimensions) -> dict[str, np.ndarray]:
    """Returns a few validation images, and feature maps on them of the dense and the most pruned networks."""
    shown = {"dense": result.points[0], "chosen": result.chosen}
    shown |= {f"{name} only": min(result.points, key=attrgetter(name[0])) for name in DIMENSIONS}

    def images(point: Point) -> np.ndarray:
        batch, _ = next(iter(run.validation(point.model, point.side).batches()))
        return np.asarray(batch)[:_SHOWN]

    maps = {name: mean_feature_maps(point.model, images(point)) for name, point in shown.items()}
    return {"images": images(result.points[0])} | maps
