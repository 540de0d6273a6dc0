"""The smoke form of a recipe: every stage, on two batches of generated images, for an epoch or two."""

from __future__ import annotations

from kerasprune.recipes import schema

SIDE = 64  # pixels at most
BATCH = 4  # images at most
FIT = {"epochs": 2, "steps": None, "batch": None}  # a schedule needs a few steps


def smoke(recipe: schema.Recipe) -> schema.Recipe:
    """Returns a recipe that runs every stage in little time; its figures mean nothing."""
    if recipe.smoke:
        return recipe
    changes: dict[str, object] = {"smoke": True}
    for stage in ("train", "finetune"):
        spec = getattr(recipe, stage)
        changes[stage] = spec and spec.one_epoch()
    if recipe.data:
        side, batch = min(recipe.data.side, SIDE), min(recipe.data.batch, BATCH)
        changes["data"] = recipe.data.model_copy(update={"size": side, "batch": batch})
    if recipe.prune:
        shorter: dict[str, object] = FIT if recipe.prune.callback else {}
        if recipe.prune.alone:
            shorter = {recipe.prune.section: recipe.prune.alone.least()}
        changes["prune"] = recipe.prune.model_copy(update=shorter)
    return recipe.model_copy(update=changes)
