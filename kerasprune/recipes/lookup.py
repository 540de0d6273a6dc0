"""Looks up names in recipes: registered members, or a user's own `package.module:Name` if trusted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kerasprune.checks import is_number
from kerasprune.errors import PruneError, nearest, short
from kerasprune.files.reading import import_code
from kerasprune.recipes.registry import families

ANYTHING = "**"
"""Among the names of arguments: the member takes any."""


def member(family: str, name: str) -> Callable[..., Any]:
    """Returns the class or function of a name.

    Args:
        family: One of `families`.
        name: A registered name, or `package.module:Name` or `FILE.py:Name`, which imports that code: `faults` allows it
            only in trusted recipes.
    """
    if ":" not in name:
        return families.member(family).member(name)
    module, _, attribute = name.rpartition(":")
    try:
        return getattr(import_code(module), attribute)
    except Exception as error:  # the code is the user's
        raise PruneError(
            f"Expected {family} 'package.module:Name' or 'FILE.py:Name' to be importable. Received: {short(name)} "
            f"({short(str(error))})."
        ) from error


def make(family: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """Makes an instance from a name and its arguments."""
    return families.member(family).made(member(family, name), name, arguments)


def arguments_of(family: str, name: str) -> dict[str, Any]:
    """Returns the arguments that a member takes, with their defaults; `ANYTHING` among them if it takes any."""
    parameters = inspect.signature(member(family, name)).parameters.values()
    return {ANYTHING if each.kind is each.VAR_KEYWORD else each.name: each.default for each in parameters}


def faults(family: str, name: str, arguments: Mapping[str, Any], trust: bool) -> list[str]:
    """Returns the faults of a name and its arguments, without making an instance.

    A registered member is imported only if there are arguments, for its signature.
    """
    if ":" in name and not trust:
        return [f"{name!r} would import your own code. Expected a registered {family}, or the option --trust"]
    if not arguments and name in families.member(family).names():
        return []
    try:
        known = arguments_of(family, name)
    except PruneError as error:
        return [str(error).rstrip(".")]
    found = [
        f"Expected {key} of {family} {name!r} to be true or false. Received: {key}={short(arguments[key])}"
        for key, default in known.items()
        if isinstance(default, bool) and key in arguments and not isinstance(arguments[key], bool)
    ]
    found += [
        f"Expected {key} of {family} {name!r} to be a finite number. Received: {key}={short(arguments[key])}"
        for key, default in known.items()
        if is_number(default) and key in arguments and not (arguments[key] is None or is_number(arguments[key]))
    ]
    if ANYTHING in known:
        return found
    return found + [
        f"{family} {name!r} has no argument {key!r}.{nearest(key, known)} It takes: {', '.join(known) or 'none'}"
        for key in arguments
        if key not in known
    ]


def import_classes(name: str, *, trust: bool) -> None:
    """Imports the user's code, so that Keras finds its classes of layers and models when it loads a file.

    Args:
        name: Path of a `.py` file, or the name of an installed package.
        trust: Whether code may be imported.
    """
    if not trust:
        raise PruneError(f"{name!r} would import your own code. Expected the option --trust with --import.")
    try:
        module = import_code(name)
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
