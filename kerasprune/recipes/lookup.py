"""Names in recipes: registered members, or a user's own `package.module:Name` where that is trusted."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError, nearest, short
from kerasprune.files.reading import import_file
from kerasprune.registry import Registry, block_criteria, budgets, callbacks, criteria, models

ANYTHING = "**"
"""Stands among the names of arguments where a member takes any."""

FAMILIES: dict[str, Registry] = {
    "model": models,
    "criterion": criteria,
    "block criterion": block_criteria,
    "budget": budgets,
    "callback": callbacks,
}


def member(family: str, name: str) -> Callable[..., Any]:
    """Returns the class or function that a name stands for.

    Args:
        family: One of `FAMILIES`.
        name: A registered name, or `package.module:Name`. The latter imports that module, so a recipe may
            only say it where the user trusts the recipe; `faults` sees to that.

    Raises:
        PruneError: There is no such member.
    """
    if ":" not in name:
        return FAMILIES[family].member(name)
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise PruneError(
            f"Expected {family} 'package.module:Name' to be importable. Received: {short(name)} ({short(str(error))})."
        ) from error


def make(family: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """Returns the instance that a name and its arguments describe.

    Raises:
        PruneError: There is no such member, or the arguments do not fit it.
    """
    return FAMILIES[family].made(member(family, name), name, arguments)


def taken(family: str, name: str) -> dict[str, Any]:
    """Returns the arguments that a member takes, with their defaults; `ANYTHING` among them where it takes any."""
    parameters = inspect.signature(member(family, name)).parameters.values()
    return {ANYTHING if each.kind is each.VAR_KEYWORD else each.name: each.default for each in parameters}


def faults(family: str, name: str, arguments: Mapping[str, Any], trust: bool) -> list[str]:
    """Returns what is wrong with a name and its arguments, without making anything.

    A registered member is imported only if there are arguments: its signature says which it takes.

    Args:
        family: One of `FAMILIES`.
        name: The name that a recipe gives.
        arguments: The arguments beside it.
        trust: Whether `package.module:Name` may be imported.
    """
    if ":" in name and not trust:
        return [f"{name!r} would import your own code. Expected a registered {family}, or the option --trust"]
    if not arguments and name in FAMILIES[family].names():
        return []
    try:
        known, made = taken(family, name), member(family, name)
    except PruneError as error:
        return [str(error).rstrip(".")]
    old = getattr(made.__init__ if inspect.isclass(made) else made, "formerly", ())
    found = [
        f"Expected {key} of {family} {name!r} to be true or false. Received: {key}={short(arguments[key])}"
        for key, default in known.items()
        if isinstance(default, bool) and key in arguments and not isinstance(arguments[key], bool)
    ]
    if ANYTHING in known:
        return found
    return found + [
        f"{family} {name!r} has no argument {key!r}.{nearest(key, known)} It takes: {', '.join(known)}"
        for key in arguments
        if key not in (*known, *old)
    ]


def import_classes(name: str, *, trust: bool) -> None:
    """Imports the user's code, so that Keras finds the classes of layers and models in it when a file is loaded.

    Args:
        name: Path of a `.py` file, or the name of an installed package.
        trust: Whether code may be imported.

    Raises:
        PruneError: It may not, there is none, or it fails.
    """
    if not trust:
        raise PruneError(f"{name!r} would import your own code. Expected the option --trust beside --import.")
    path = Path(name)
    try:
        module = import_file(path) if path.suffix == ".py" else importlib.import_module(name)
    except Exception as error:  # the code is the user's
        raise PruneError(
            f"Expected a Python file or an installed package to import. Received: --import {name} "
            f"({type(error).__name__}: {error})."
        ) from error
    import keras

    known = keras.saving.get_custom_objects()
    for each in vars(module).values():
        if inspect.isclass(each) and issubclass(each, keras.layers.Layer) and each.__module__ == module.__name__:
            known.setdefault(each.__name__, each)
