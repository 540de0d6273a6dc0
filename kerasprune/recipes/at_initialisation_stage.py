"""The pruning stage at initialisation: masks of an untrained network, by scores on one batch."""

from __future__ import annotations

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.recipes import lookup
from kerasprune.recipes.at_initialisation_section import AtInitialisation
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.stages.context import Run
from kerasprune.training.sparsity.at_initialisation import prune_at_init


def choose(run: Run, model: keras.Model, spec: AtInitialisation) -> None:
    """Saves the masks of a recipe's section, `masks.npz`; there is no plan.

    Args:
        run: The run.
        model: The untrained model.
        spec: The section of the recipe.
    """
    run.folder.write_arrays("masks.npz", _masks(run, model, spec))


def rehearse(run: Experiment, model: keras.Model, spec: AtInitialisation) -> None:
    """Raises errors that would come after training: criteria that score no single weights, or lack labels."""
    if run.recipe.data is not None:
        run.check_labels(model)
    _masks(run, model, spec.least())


def _masks(run: Experiment, model: keras.Model, spec: AtInitialisation) -> dict[str, np.ndarray]:
    """Returns the masks; examples are read, augmented as for training, if the criterion needs some."""
    criterion = criteria.get(lookup.make("criterion", spec.criterion.name, spec.criterion.arguments))
    scored = run.recipe.data is not None and criterion.needs
    return prune_at_init(
        model,
        criterion,
        keep=spec.keep,
        rounds=spec.rounds,
        data=[next(iter(run.examples("train", model, batch=spec.samples).batches()))] if scored else None,
        loss=run.objective(model).loss if scored else None,
        freeze=spec.freeze,
        seed=run.recipe.seed,
    )
