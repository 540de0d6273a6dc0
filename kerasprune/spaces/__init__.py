"""Pruning spaces: populations of recipes under constraints, their costs, and how their results are distributed."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "Recipes": "kerasprune.spaces.recipes:Recipes",
        "costs": "kerasprune.spaces.counting:costs",
    }
)
