"""One line for each recipe and each named thing of the package, read from its file: nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kerasprune.models.sets.lookup import NAMED, here
from kerasprune.recipes import library
from kerasprune.recipes.registry import prune_sections
from kerasprune.recipes.schema import keys_of_absent_papers
from kerasprune.registry import Registry, docstring_of

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the files are ours


@dataclass(frozen=True)
class RecipeLine:
    """The line of a recipe in `kerasprune list`.

    Args:
        why: Its question.
        cost: The epochs of its stages.
        data: The data set and its source.
        here: Whether the data set is on this machine, or is made on it.
        lacks: The keys of the recipe whose papers are not installed.
    """

    why: str
    cost: str
    data: str
    here: bool
    lacks: list[str]

    def __str__(self) -> str:
        return f"{self.why} {self.cost}; {self.data}."


def describe_recipe(name: str) -> RecipeLine:
    """Returns the line of a recipe of the package.

    Args:
        name: One of `kp.recipes.names()`.

    Example:
        >>> describe_recipe("glyphs-base").data
        'glyphs, which is drawn from fonts'
    """
    recipe = yaml.load(library.find(name).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    data = (recipe.get("data") or {}).get("name")
    return RecipeLine(
        recipe["why"], _cost(recipe), _data(data), data is None or here(data), keys_of_absent_papers(recipe)
    )


def summary(family: Registry, name: str) -> str:
    """Returns the first sentence of the docstring of a member of the package.

    Args:
        family: The family, such as `kp.criteria`.
        name: One of its names.

    Example:
        >>> from kerasprune.criteria.registry import criteria
        >>> summary(criteria, "l1")
        "Sum of absolute weights of a channel's kernels."
    """
    first = docstring_of(family.built_in[name]).partition("\n\n")[0].replace("\n", " ").replace("`", "")
    return re.split(r"(?<=[a-z)])\. (?=[A-Z])|; see ", first)[0].rstrip(".") + "."


def _cost(recipe: Mapping[str, Any]) -> str:
    prune = recipe.get("prune") or {}
    parts = [f"{recipe['train']['epochs']} train"] if recipe.get("train") else []
    for section in (name for name in prune_sections if prune.get(name)):
        parts += prune_sections.member(section).trainings(prune[section])
    if prune.get("epochs"):
        parts.append(f"{prune['epochs']} prune")
    elif prune.get("steps"):
        parts.append(f"{prune['steps']:,} steps prune")
    elif prune.get("callback"):
        callback = prune["callback"]
        parts.append(f"the steps of {callback['name'] if isinstance(callback, dict) else callback} prune")
    parts += [f"{recipe['finetune']['epochs']} finetune"] if recipe.get("finetune") else []
    return f"Epochs: {', '.join(parts) or 'none'}"


def _data(name: str | None) -> str:
    if name is None:
        return "no data"
    prefix, colon, rest = name.partition(":")
    if colon and prefix == "tfds":
        return f"{rest} from tensorflow-datasets"
    return f"{name}, which {NAMED[name]}" if name in NAMED else name
