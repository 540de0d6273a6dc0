"""Recipes: whole experiments as YAML files, one file per experiment.

Nothing heavy is imported before a recipe is loaded or run.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_HOMES = {"load": "loading", "run": "running"}
__all__ = ["get", "load", "names", "run"]


def names() -> list[str]:
    """Returns the names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def get(name: str) -> Any:
    """Returns a recipe by its name or path; see `kerasprune.recipes.load`."""
    from kerasprune.recipes.loading import load

    return load(name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
