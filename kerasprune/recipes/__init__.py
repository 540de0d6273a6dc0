"""Recipes: whole experiments as YAML files, one file per experiment.

Nothing heavy is imported before a recipe is loaded or run.
"""

from __future__ import annotations

import importlib
from typing import Any

from kerasprune.recipes.library import FOLDER, names

_HOMES = {"load": "loader", "run": "runner"}
__all__ = ["FOLDER", "get", "load", "names", "run"]


def get(name: str) -> Any:
    """Returns a recipe by its name or path; see `kerasprune.recipes.load`."""
    from kerasprune.recipes.loader import load

    return load(name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
