"""The training stage."""

from __future__ import annotations

import keras

from kerasprune.recipes.stages.context import Run, dense_model, train_model


def train(run: Run) -> None:
    """Trains the dense model, or takes the checkpoint as it is: `dense.keras`."""
    keras.utils.set_random_seed(run.recipe.seed)
    model = dense_model(run.recipe)
    if run.recipe.train is not None:
        train_model(run, "train", model, run.recipe.train)
    run.folder.save_model("dense.keras", model)
