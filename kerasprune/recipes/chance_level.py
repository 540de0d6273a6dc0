"""Warns where a trained model knows nothing about the data that it is to be pruned on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.data.examples import Examples
from kerasprune.data.lookup import own
from kerasprune.data.scaling import SCALES
from kerasprune.errors import warn
from kerasprune.recipes import schema
from kerasprune.recipes.experiment import Experiment

SAMPLED = 10  # batches that are looked at
DOUBT = 0.7  # an accuracy below which other scales are tried, where the recipe names none
GAIN = 0.1  # by how much another scale must be better to be named


def warn_at_chance(run: Experiment, model: keras.Model) -> None:
    """Warns where a checkpoint is no better than always naming the most frequent class, or gives no finite loss.

    Where the recipe names no scale, it says which one the model was likely trained on.

    Args:
        run: The run; its recipe begins with a checkpoint and names data.
        model: The dense model.
    """
    data = run.recipe.data
    split = data.validation or "train"
    if not run.labelled(model):
        return
    sample = _sample(run, split, model)
    logs = run.metrics(model, sample)
    if not np.isfinite(logs["loss"]):
        _warn(data, f"its loss is {logs['loss']}", "Check the pixels' scale (--scale) and the targets.")
    if "accuracy" not in logs or len(model.outputs) != 1:
        return
    accuracy, frequent = logs["accuracy"], _most_frequent(sample.batches())
    better = _better_scale(run, model, split, accuracy) if accuracy < DOUBT else None
    if better is not None:
        scale, reached = better
        _warn(
            data,
            f"it is right for {accuracy:.0%} of them, with scale: {scale} for {reached:.0%}",
            f"Give --scale {scale} (in a recipe, data.scale).",
        )
    elif frequent is not None and accuracy <= frequent:
        _warn(
            data,
            f"it is right for {accuracy:.0%} of them, and {frequent:.0%} are of one class",
            "Check the pixels' scale (--scale), the order of the classes, and that it is the right data.",
        )


def _better_scale(run: Experiment, model: keras.Model, split: str, accuracy: float) -> tuple[str, float] | None:
    data = run.recipe.data
    if data.scale is not None or own(data.name) is not None:
        return None
    reached = {}
    for scale in SCALES[:-1]:
        scaled = Experiment(run.recipe.model_copy(update={"data": data.model_copy(update={"scale": scale})}))
        reached[scale] = run.metrics(model, _sample(scaled, split, model))["accuracy"]
    best = max(reached, key=reached.get)
    return (best, reached[best]) if reached[best] >= accuracy + GAIN else None


def _sample(run: Experiment, split: str, model: keras.Model) -> Examples:
    """Returns the first batches of a split."""
    return Examples(run.examples(split, model).batches().take(SAMPLED), run.recipe.data.batch)


def _most_frequent(sample: Any) -> float | None:
    """Returns the share of the most frequent class, or `None` where the targets are no numbers of classes."""
    targets = np.concatenate([np.asarray(batch[1]) for batch in sample])
    if targets.ndim == 2 and targets.shape[1] > 1:
        targets = targets.argmax(1)
    if targets.reshape(len(targets), -1).shape[1] != 1:
        return None
    return np.unique(targets, return_counts=True)[1].max() / len(targets)


def _warn(data: schema.Data, found: str, remedy: str) -> None:
    warn(f"The model knows little of the data {data.name!r}: {found}. {remedy}")
