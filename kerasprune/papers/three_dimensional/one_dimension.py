"""Shrinks a model along one dimension alone to a budget: the control of three dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from kerasprune.checks import fraction_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import raise_faults
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion, blocks_of
from kerasprune.papers.three_dimensional.extents import DIMENSIONS, Costs, Extent, Point, check_blocks, check_side
from kerasprune.papers.three_dimensional.shrinking_plans import Judges, check_rounds
from kerasprune.papers.three_dimensional.workflow import finished_at
from kerasprune.recipes.populations.store import Store, TrainAndJudge, checksum


def one_dimension(
    model: keras.Model,
    fit: TrainAndJudge,
    dimension: str,
    *,
    macs: float = 0.5,
    data: Any = None,
    size: int | None = None,
    epochs: int = 80,
    blocks: str | dict | BlockCriterion = "discrimination",
    channels: str | dict | Criterion = "bn_scale",
    seed: int = 0,
    folder: str | Path | None = None,
) -> Point:
    """Prunes only one dimension to a budget: the control of `three_dimensions`.

    Of the networks that can be built along the dimension, it takes the one whose multiply–adds are nearest the budget.

    Args:
        model: The trained dense model; it is left untouched.
        fit: Trains a model, as for `three_dimensions`.
        dimension: `"depth"`, `"width"` or `"resolution"`.
        macs: Fraction of the multiply–adds that is kept. Defaults to 0.5.
        data: Batches for criteria that use data.
        size: Side of the dense model's inputs, in pixels. Defaults to the model's own.
        epochs: Epochs of training. Defaults to 80.
        blocks: Criterion of blocks. Defaults to `"discrimination"`.
        channels: Criterion of channels. Defaults to `"bn_scale"`.
        seed: Seed for `fit` and the criteria. Defaults to 0.
        folder: A folder for the finished point. Defaults to `None`.

    Returns:
        The point, with its model.

    Raises:
        PruneError: The budget cannot be met along this dimension, or the model cannot shrink along it.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> def fit(model, *, resolution, epochs, seed):
        ...     return 0.9  # here: model.compile(…), model.fit(…, epochs=epochs), its accuracy
        >>> kp.papers.one_dimension(model, fit, "width", macs=0.5, channels="l1").model.get_layer("hidden").units
        4
    """
    check_rounds(dimension, 1.0, 1, epochs)
    raise_faults("Invalid arguments for one_dimension:", fraction_faults(macs=macs))
    extent = Extent.of(model, size)
    if dimension == "resolution":
        check_side(model, extent.side - 1)
    judges = Judges(blocks, channels, data, seed, getattr(model, "loss", None))
    importance = dict.fromkeys(blocks_of(trace(model, unknown="freeze")), 0.0)
    if dimension == "depth":
        check_blocks(model, extent)
        importance = judges.importance(model)
    lower = tuple(0.01 if name == dimension else 1.0 for name in DIMENSIONS)
    target = Costs.of(model, extent, importance, lower).along(dimension, macs)
    settings = {"weights": checksum(model), "target": list(target), "epochs": epochs, "seed": seed}
    settings |= {"side": extent.side} | judges.described((dimension,))
    store = Store(folder, f"{dimension}-only-{macs}", settings)
    return finished_at(store, model, fit, extent, target, importance, judges, epochs)
