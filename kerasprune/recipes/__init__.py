"""Recipes: whole experiments as YAML files, one file per experiment."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "FOLDER": "kerasprune.recipes.library:FOLDER",
        "Recipe": "kerasprune.recipes.schema:Recipe",
        "get": "kerasprune.recipes.loader:load",
        "load": "kerasprune.recipes.loader:load",
        "names": "kerasprune.recipes.library:names",
        "init": "kerasprune.recipes.starter:init",
        "resume": "kerasprune.recipes.runner:resume",
        "run": "kerasprune.recipes.runner:run",
        "schema_json": "kerasprune.recipes.starter:schema_json",
        "seeds_and_grid": "kerasprune.recipes.grid:seeds_and_grid",
    }
)
