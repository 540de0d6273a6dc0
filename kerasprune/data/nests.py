"""Nests of what `fit` takes by name: inputs and outputs, and dicts of them inside of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import tree


def keys_of(nest: Any) -> list[str]:
    """Returns the keys of a dict in the order in which Keras flattens it, with `/` between those of nested ones.

    Example:
        >>> keys_of({"heads": {"weight": 0, "age": 0}, "box": 0}), keys_of([0, 0])
        (['box', 'heads/age', 'heads/weight'], [])
    """
    return ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(nest)] if isinstance(nest, Mapping) else []


def flat(nest: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Returns what a dict of dicts holds by the keys of `keys_of`; lists in it stay lists."""
    found: dict[str, Any] = {}
    for key, value in nest.items():
        name = f"{before}{key}"
        found |= flat(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return found
