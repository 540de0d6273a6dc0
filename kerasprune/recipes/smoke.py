"""The smoke form of a recipe: every stage, on two batches of generated images, for an epoch or two."""

from __future__ import annotations

from collections.abc import Mapping

from kerasprune.recipes import learning, prune_section, schema
from kerasprune.recipes.node import Node

SIDE = 64  # pixels at most
BATCH = 4  # images at most
FIT = {"epochs": 2, "steps": None, "batch": None}  # a schedule needs a few steps
LEAST = {
    "three_dimensions": {"rounds": 1, "rank": 1, "degree": 1},  # needs four networks
    "space": {"n": 2},
    "meta_pruning": {
        "hidden": 1,
        "search": prune_section.Search(population=2, parents=2, mutations=1, crossovers=1, generations=2),
    },
}
"""The least that a section may ask for; its trainings last an epoch."""


def smoke(recipe: schema.Recipe) -> schema.Recipe:
    """Returns a recipe that runs every stage in little time; its figures mean nothing."""
    if recipe.smoke:
        return recipe
    changes: dict[str, object] = {"smoke": True}
    for stage in ("train", "finetune"):
        spec = getattr(recipe, stage)
        changes[stage] = spec and _epoch(spec)
    if recipe.data:
        side, batch = min(recipe.data.side, SIDE), min(recipe.data.batch, BATCH)
        changes["data"] = recipe.data.model_copy(update={"size": side, "batch": batch})
    if recipe.prune:
        section = recipe.prune.section
        shorter: dict[str, object] = FIT if recipe.prune.callback else {}
        if section in LEAST:
            shorter = {section: _least(getattr(recipe.prune, section), LEAST[section])}
        changes["prune"] = recipe.prune.model_copy(update=shorter)
    return recipe.model_copy(update=changes)


def _epoch(spec: learning.Training) -> learning.Training:
    """Returns a training of one epoch."""
    return spec.model_copy(update={"epochs": 1, "batch": None})


def _least(spec: Node, least: Mapping[str, object]) -> Node:
    """Returns the least section, its trainings of one epoch; a round of a space trains one candidate."""
    if isinstance(spec, prune_section.SpaceSection):
        trainings = {"rounds": tuple(_epoch(one).model_copy(update={"best": 1}) for one in spec.rounds)}
    else:
        trainings = {"training": _epoch(spec.training)}
    return spec.model_copy(update={**least, **trainings})
