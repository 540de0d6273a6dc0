"""The keys of a recipe for the command line: their fields, and their entries in the docstrings of their sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from kerasprune.recipes.node import Node
from kerasprune.recipes.schema import Recipe


def field(key: str) -> FieldInfo:
    """Returns the field of a key.

    Args:
        key: The key, such as `"prune.plan.macs"`; of several possible sections the first that has it.

    Example:
        >>> field("prune.plan.round_to").default
        'auto'
    """
    return _found(key).model_fields[key.rpartition(".")[2]]


def describe_key(key: str) -> str:
    """Returns a key's entry in the docstring of its section, its choices and whether it takes several values.

    Args:
        key: As for `field`.

    Example:
        >>> describe_key("prune.plan.coupling").endswith("One of tied, free, padded.")
        True
    """
    section, name = _found(key), key.rpartition(".")[2]
    texts = (_entries(each.__doc__ or "").get(name, "") for each in section.__mro__)
    annotation = field(key).annotation
    choices = ", ".join(_choices(annotation))
    known = f"One of {choices}." if choices else ""
    several = "May be repeated." if get_origin(annotation) is tuple else ""
    return " ".join(filter(None, (next(filter(None, texts), ""), known, several)))


def _found(key: str) -> type[Node]:
    """Returns the section of a key."""
    *path, last = key.split(".")
    sections: list[type[Node]] = [Recipe]
    for name in path:
        fields = [section.model_fields[name] for section in sections if name in section.model_fields]
        sections = [section for each in fields for section in _sections(each.annotation)]
    return next(section for section in sections if last in section.model_fields)


def _sections(annotation: Any) -> Iterator[type[Node]]:
    """Yields the sections that a type allows."""
    if isinstance(annotation, type) and issubclass(annotation, Node):
        yield annotation
    for each in get_args(annotation):
        yield from _sections(each)


def _choices(annotation: Any) -> Iterator[str]:
    """Yields the texts that a type allows, if they are named: its own, or the names of its sections."""
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, Node):
        if "name" in annotation.model_fields:
            yield from _choices(annotation.model_fields["name"].annotation)
    else:
        for each in get_args(annotation):
            yield from _choices(each)


def _entries(text: str) -> dict[str, str]:
    """Returns the entries of the `Args:` of a docstring."""
    section = re.match(r"( {4}.*\n?)*", cleandoc(text).partition("Args:\n")[2])[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5}.*)*)", section, re.M)
    return {name: re.sub(r"\n +", " ", entry) for name, entry in entries}
