"""What a recipe of the package asks, costs and needs, in a line, from its own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kerasprune.recipes import library

_AT_HAND = {"digits": "comes with scikit-learn", "glyphs": "is drawn from fonts"}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the files are ours


@dataclass(frozen=True)
class Line:
    """A recipe in a line.

    Args:
        why: The question that it answers.
        cost: The epochs of its stages.
        data: The data set and where it is from.
    """

    why: str
    cost: str
    data: str

    def __str__(self) -> str:
        return f"{self.why} {self.cost}; {self.data}."


def described(name: str) -> Line:
    """Returns a recipe of the package in a line.

    Args:
        name: One of `kp.recipes.names()`.

    Raises:
        PruneError: There is no such recipe.

    Example:
        >>> described("glyphs-base").data
        'glyphs, which is drawn from fonts'
    """
    recipe = yaml.load(library.find(name).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    return Line(recipe["why"], _cost(recipe), _data(recipe))


def _cost(recipe: Mapping[str, Any]) -> str:
    prune = recipe.get("prune") or {}
    parts = [f"{recipe[stage]['epochs']} {stage}" for stage in ("train",) if recipe.get(stage)]
    if prune.get("three_dimensions"):
        parts.append(f"{prune['three_dimensions']['training']['epochs']} for every measured network")
    elif prune.get("meta_pruning"):
        parts.append(f"{prune['meta_pruning']['training']['epochs']} of a PruningNet")
    elif prune.get("space"):
        space = prune["space"]
        parts += [
            f"{one['epochs']} for each of {one.get('best', space['n'])} recipes" for one in space.get("rounds", ())
        ]
    elif prune.get("callback"):
        callback = prune["callback"]
        own = callback["name"] if isinstance(callback, dict) else callback
        steps = f"{prune['steps']:,} steps" if prune.get("steps") else f"the steps of {own}"
        parts.append(f"{prune['epochs']} prune" if prune.get("epochs") else f"{steps} prune")
    parts += [f"{recipe[stage]['epochs']} {stage}" for stage in ("finetune",) if recipe.get(stage)]
    return f"Epochs: {', '.join(parts) or 'none'}"


def _data(recipe: Mapping[str, Any]) -> str:
    name = (recipe.get("data") or {}).get("name")
    if name is None:
        return "no data"
    prefix, colon, rest = name.partition(":")
    if colon and prefix == "tfds":
        return f"{rest} from tensorflow-datasets"
    origin = _AT_HAND.get(name.partition("/")[0])
    return f"{name}, which {origin}" if origin else name
