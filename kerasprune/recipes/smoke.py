"""A recipe in short: every stage, on two batches of generated images, for an epoch or two."""

from __future__ import annotations

from kerasprune.recipes import learning, pruning, schema

SIDE = 64  # pixels at most
BATCH = 4  # images at most
PRUNE_EPOCHS = 2  # a schedule needs a few steps: to grow, to pick, to settle
DRAWN, TRAINED = 2, 1  # recipes of a space
SEARCH = pruning.Search(population=2, parents=2, mutations=1, crossovers=1, generations=2)


def smoke(recipe: schema.Recipe) -> schema.Recipe:
    """Returns a recipe that takes every stage through in little time; its figures mean nothing.

    Args:
        recipe: The recipe; one that is short already is returned unchanged.
    """
    if recipe.smoke:
        return recipe
    changes: dict[str, object] = {"smoke": True}
    for stage in ("train", "finetune"):
        spec = getattr(recipe, stage)
        changes[stage] = spec and _epoch(spec)
    if recipe.data:
        side, batch = min(recipe.data.size, SIDE), min(recipe.data.batch, BATCH)
        changes["data"] = recipe.data.model_copy(update={"size": side, "batch": batch})
    if recipe.prune:
        fit = {"epochs": PRUNE_EPOCHS, "steps": None, "batch": None}
        shorter: dict[str, object] = fit if recipe.prune.callback else {}
        spec = recipe.prune.three_dimensions
        if spec is not None:
            training = _epoch(spec.training)
            least = {"training": training, "rounds": 1, "rank": 1, "degree": 1}  # four networks fit a plane's worth
            shorter = {"three_dimensions": spec.model_copy(update=least)}
        if recipe.prune.space is not None:
            shorter = {"space": _few(recipe.prune.space)}
        if recipe.prune.meta_pruning is not None:
            spec = recipe.prune.meta_pruning
            least = {"training": _epoch(spec.training), "hidden": 1, "search": SEARCH}
            shorter = {"meta_pruning": spec.model_copy(update=least)}
        changes["prune"] = recipe.prune.model_copy(update=shorter)
    return recipe.model_copy(update=changes)


def _epoch(spec: learning.Training) -> learning.Training:
    """Returns one epoch of a training."""
    return spec.model_copy(update={"epochs": 1, "batch": None})


def _few(spec: pruning.SpaceSection) -> pruning.SpaceSection:
    """Returns a space of a few recipes, and rounds of an epoch each."""
    rounds = tuple(_epoch(one).model_copy(update={"best": TRAINED}) for one in spec.rounds)
    return spec.model_copy(update={"n": DRAWN, "rounds": rounds})
