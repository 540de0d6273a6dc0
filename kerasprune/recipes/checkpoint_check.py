"""Warns if a trained model predicts its data no better than by guessing, or by a loss that rows in order need."""

from __future__ import annotations

import keras
import numpy as np

from kerasprune.criteria.batch_loss import batch_loss, batches_for_loss
from kerasprune.criteria.row_order import order_matters
from kerasprune.data.arrays_or_batches import as_numpy, is_array
from kerasprune.data.examples import Examples
from kerasprune.data.scaling import SCALES
from kerasprune.errors import PruneError, warn
from kerasprune.models.sets.lookup import own
from kerasprune.recipes import schema
from kerasprune.recipes.examples import examples
from kerasprune.recipes.experiment import Experiment
from kerasprune.repair.synthesis.scale_of_pixels import warn_of_statistics
from kerasprune.steps.chance_level import chance_level, knows_little, labels_of
from kerasprune.steps.judge import Judge
from kerasprune.steps.pixel_scale import SAMPLED, better_scale, is_sure, warn_of_scale
from kerasprune.steps.report import accuracy_of


def check_chance_level(run: Experiment, model: keras.Model) -> None:
    """Warns if a checkpoint is no better than always predicting the most frequent class, or its loss is not finite.

    If the recipe names no scale, the warning names the one that the model was probably trained on.

    Args:
        run: The run; its recipe begins with a checkpoint and names data.
        model: The dense model.

    Raises:
        PruneError: The recipe names no scale, and the model is clearly better on another.
    """
    data = run.recipe.data
    split = data.validation or "train"
    if not run.labelled(model):
        if own(data.name) == "arrays":
            first = next(iter(_sample(run, run.recipe, split, model).batches()))
            warn_of_statistics(model, np.asarray(keras.tree.flatten(first)[0]))
        return
    sample = _sample(run, run.recipe, split, model)
    if own(data.name) == "arrays":
        _warn_of_row_order(run, model, sample)
    logs = run.metrics(model, sample)
    accuracy, targets = accuracy_of(logs), labels_of(model, sample)
    better = None if accuracy is None or targets is None or data.scale else _better_scale(run, model, split, accuracy)
    if better is not None:
        scale, reached = better
        found = f"it is right for {accuracy:.0%} of them, with scale: {scale} for {reached:.0%}"
        remedy = f"Give --scale {scale} (in a recipe, data.scale)"
        if is_sure(reached, accuracy, len(targets)):
            now = "none" if own(data.name) else "standardise"
            raise PruneError(knows_little(found, f"{remedy}; or --scale {now} to keep the present one.", data.name))
        warn(knows_little(found, f"{remedy}.", data.name))
        return
    if own(data.name) == "arrays" and data.scale is None and not run.held.scales:
        parts = [keras.tree.map_structure(as_numpy, batch) for batch in sample.batches()]
        if all(is_array(each) for batch in parts for each in batch):  # one input, one output
            arrays = tuple(map(np.concatenate, zip(*parts, strict=True)))
            if warn_of_scale(Judge(model, run.objective(model), Examples(arrays[:2], data.batch))):
                return
    chance = chance_level(logs, targets, " (--scale)")
    if chance is not None:
        warn(knows_little(*chance, data.name))


def _warn_of_row_order(run: Experiment, model: keras.Model, sample: Examples) -> None:
    loss = run.objective(model).loss
    if order_matters(batch_loss(model, loss), next(batches_for_loss(sample.batches(), model, loss))):
        warn(
            "The loss depends on the order of rows, as that of triplets does, and the rows of "
            f"{run.recipe.data.name} are shuffled. Prune in Python, where kp.prune(model, data=(x, y), batch=…) keeps "
            "them in their order."
        )


def _better_scale(run: Experiment, model: keras.Model, split: str, accuracy: float) -> tuple[str, float] | None:
    """Returns another scale at which the model is more accurate, and its accuracy there; `None` if there is no such."""

    def judged(scale: str) -> float:
        data = run.recipe.data.model_copy(update={"scale": scale})
        return accuracy_of(run.metrics(model, _sample(run, run.recipe.model_copy(update={"data": data}), split, model)))

    return better_scale(accuracy, SCALES[:-1] if run.held is None else run.held.scales, judged)


def _sample(run: Experiment, recipe: schema.Recipe, split: str, model: keras.Model) -> Examples:
    """Returns the first batches of a split."""
    found = examples(recipe, split, model, held=run.held)
    return Examples(found.take(SAMPLED), recipe.data.batch)
