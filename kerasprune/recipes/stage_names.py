"""The stages that a recipe goes through."""

from __future__ import annotations

from kerasprune.recipes.schema import Recipe


def names(recipe: Recipe) -> list[str]:
    """Returns the stages that a recipe goes through, in order.

    Example:
        >>> import kerasprune as kp
        >>> names(kp.recipes.load("glyphs-base"))
        ['train', 'evaluate', 'report']
    """
    solved = ["reconstruct"] if recipe.reconstruct else []
    middle = ["prune", "rebuild", *solved, "finetune"] if recipe.prune else []
    return ["train", *middle, "evaluate", *(["export"] if recipe.export else []), "report"]


def only_hands_on(recipe: Recipe, name: str) -> bool:
    """Says whether a stage trains in other recipes, and in this one hands its model on."""
    return name in ("train", "finetune") and getattr(recipe, name) is None
