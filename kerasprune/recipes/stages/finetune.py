"""The training stages, of the dense and of the slim model."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasprune import callbacks
from kerasprune.graph.graph import values
from kerasprune.recipes.fit import train_stage
from kerasprune.recipes.stages.context import Run, judge_after, mark_delivered, note, write
from kerasprune.steps.finetune import check_trainable
from kerasprune.steps.tuning import tune

BEFORE = {"rebuild": "rebuilt", "reconstruct": "reconstructed"}
"""`{stage: its model}` of the stages whose model may be better than the fine-tuned one."""


def finetune(run: Run) -> None:
    """Fine-tunes the slim model, if the recipe has the section, and saves the best or the last: `slim.keras`."""
    spec, alone = run.recipe.finetune, run.recipe.prune.alone
    if alone is not None and alone.trained:
        model = run.model(alone.trained)
        note(run, "finetune", model)
        mark_delivered(run, "finetune", [])
        run.hand_over("slim", model)
        return
    model = run.take("reconstructed" if run.recipe.reconstruct else "rebuilt")
    if spec is None:
        run.hand_over("slim", model)
        return
    check_trainable(model)
    masks = run.folder.arrays("masks.npz")
    holding = [] if masks is None else [callbacks.HoldMask(masks)]
    trained = run.aware(model)
    twin = run.student(trained, run.model("dense"), run.plan_of()) if spec.distil else None

    def train_with(more: Sequence[keras.callbacks.Callback]) -> None:
        train_stage(run, "finetune", trained, spec, size=run.side("rebuilt"), twin=twin, more=[*holding, *more])

    steps = {name: step for name, step in run.folder.steps().items() if name in BEFORE}
    judge = judge_after(run, "finetune", model)
    tuned = tune(trained, train_with, judge, list(steps.values()), deliver=spec.deliver, seed=run.recipe.seed)
    steps["finetune"] = tuned.step
    write(run, "finetune", tuned.step)
    name = next(name for name, step in steps.items() if step is tuned.delivered)
    mark_delivered(run, name, tuned.remarks)
    if trained is not model and name == "finetune":
        run.folder.write_arrays("ranges.npz", {v.path: values(v) for v in trained.ranges})
    run.hand_over("slim", run.model(BEFORE[name]) if name in BEFORE else model)


def train(run: Run) -> None:
    """Trains the dense model, if the recipe has the section, and saves it: `dense.keras`."""
    keras.utils.set_random_seed(run.recipe.seed)
    model = run.dense_model()
    if run.recipe.train is not None:
        train_stage(run, "train", model, run.recipe.train)
    run.save("dense", model)
