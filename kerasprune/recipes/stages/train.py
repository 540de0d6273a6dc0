"""The training stage."""

from __future__ import annotations

import keras

from kerasprune.recipes.fit import train_stage
from kerasprune.recipes.stages.context import Run


def train(run: Run) -> None:
    """Trains the dense model, or takes the checkpoint as it is: `dense.keras`."""
    keras.utils.set_random_seed(run.recipe.seed)
    model = run.dense_model()
    if run.recipe.train is not None:
        train_stage(run, "train", model, run.recipe.train)
    run.save("dense", model)
