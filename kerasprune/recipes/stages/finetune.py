"""The stages that train: the dense model, and the slim one."""

from __future__ import annotations

import keras

from kerasprune import callbacks
from kerasprune.defaults import SEED_OF_FINETUNING
from kerasprune.recipes.fit import train_stage
from kerasprune.recipes.stages.context import Run, note
from kerasprune.steps.finetune import seed_layers


def finetune(run: Run) -> None:
    """Trains the slim model, or takes it as it was rebuilt: `slim.keras`."""
    spec = run.recipe.finetune
    model = run.take("reconstructed" if run.recipe.reconstruct else "rebuilt")
    if spec is not None:
        seed_layers(model, run.recipe.seed + SEED_OF_FINETUNING)
        masks = run.folder.arrays("masks.npz")
        holding = [] if masks is None else [callbacks.HoldMask(masks)]
        twin = run.student(model, run.model("dense"), run.plan_of()) if spec.distil else None
        train_stage(run, "finetune", model, spec, size=run.side("rebuilt"), twin=twin, more=holding)
        note(run, "finetune", model)
    run.save("slim", model)


def train(run: Run) -> None:
    """Trains the dense model, or takes the checkpoint as it is: `dense.keras`."""
    keras.utils.set_random_seed(run.recipe.seed)
    model = run.dense_model()
    if run.recipe.train is not None:
        train_stage(run, "train", model, run.recipe.train)
    run.save("dense", model)
