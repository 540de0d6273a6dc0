"""The stage of least squares."""

from __future__ import annotations

import warnings

from kerasprune.errors import Key, PruneError
from kerasprune.plans import Plan
from kerasprune.recipes.examples import inputs_only
from kerasprune.recipes.schema import Recipe
from kerasprune.recipes.stages import steps
from kerasprune.recipes.stages.context import Run
from kerasprune.surgery.reconstruct import BEFORE_TRAINING, NO_GAIN
from kerasprune.surgery.reconstruct import reconstruct as reconstructed


def reconstruct(run: Run) -> None:
    """Solves the kernels of the slim model from training examples, without their labels: `reconstructed.keras`.

    Where that leads away from the dense outputs on validation examples, the kernels stay as they were.
    """
    spec = run.recipe.reconstruct
    slim, dense = run.folder.model("rebuilt.keras"), run.folder.model("pruned.keras")
    plan = Plan.load(run.folder.file("plan.json"))
    data = inputs_only(run.plain_examples(slim))
    with run.console.status("reconstruct"):
        try:
            slim = reconstructed(
                slim, dense, plan, data,
                samples=spec.samples, positions=spec.positions, ridge=spec.ridge, slack=slack_of(run.recipe),
                seed=run.recipe.seed,
            )  # fmt: skip
        except PruneError as error:
            raise PruneError(*error.args, " Or switch ", Key("reconstruct"), " off.") from error
    logs = steps.note(run, "reconstruct", slim)
    if steps.is_further(run, "reconstruct", "rebuild"):
        warnings.warn(NO_GAIN, stacklevel=2)
        slim = run.folder.model("rebuilt.keras")
        logs = steps.note(run, "reconstruct", slim)
    if logs:
        run.folder.set_metrics("reconstruct", [{"epoch": 0, **{f"val_{key}": value for key, value in logs.items()}}])
    run.folder.save_model("reconstructed.keras", slim)


def slack_of(recipe: Recipe) -> float:
    """Returns how much error a reconstruction may give for smaller weights: what the recipe says, or what suits it."""
    said = recipe.reconstruct and recipe.reconstruct.slack
    if said is not None:
        return said
    return BEFORE_TRAINING if recipe.finetune else 0.0
