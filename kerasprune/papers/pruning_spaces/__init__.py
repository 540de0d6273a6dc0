"""Pruning spaces: populations of recipes under constraints, their costs, and how their results are distributed."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "EDF": "kerasprune.spaces.distribution:EDF",
        "Recipes": "kerasprune.spaces.recipes:Recipes",
        "Space": "kerasprune.spaces.space:Space",
        "acceptance": "kerasprune.spaces.rejection:acceptance",
        "costs": "kerasprune.spaces.counting:costs",
        "edf": "kerasprune.spaces.distribution:edf",
        "mcb": "kerasprune.spaces.ratio:mcb",
        "random_recipes": "kerasprune.spaces.rejection:random_recipes",
        "sample": "kerasprune.spaces.sampling:sample",
        "uniform": "kerasprune.spaces.sampling:uniform",
    }
)
