"""The fine-tuning stage."""

from __future__ import annotations

import keras

from kerasprune.callbacks.hold_mask import HoldMask
from kerasprune.recipes.stages import steps
from kerasprune.recipes.stages.context import Run, train_model


def finetune(run: Run) -> None:
    """Trains the slim model, or takes it as it was rebuilt: `slim.keras`."""
    keras.utils.set_random_seed(run.recipe.seed + 2)
    model = run.folder.model("reconstructed.keras" if run.recipe.reconstruct else "rebuilt.keras")
    if run.recipe.finetune is not None:
        masks = run.folder.arrays("masks.npz")
        holding = [] if masks is None else [HoldMask(masks)]
        train_model(run, "finetune", model, run.recipe.finetune, holding)
        steps.note(run, "finetune", model)
    run.folder.save_model("slim.keras", model)
