"""Nests of what `compile` and `fit` take by name: inputs, outputs and labels, losses and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerasprune._keras import structures
from kerasprune.data.signature import flat, keys_of
from kerasprune.errors import PruneError, nearest
from kerasprune.graph.walk import functional


def output_names(model: keras.Model) -> list[str]:
    """Returns what the outputs of a model are called, in flat order.

    Args:
        model: A functional or Sequential model. Outputs in a dict are called by their keys, others by the layers that
            make them.

    Example:
        >>> import keras
        >>> inputs = keras.Input((2,))
        >>> heads = {name: keras.layers.Dense(1, name=f"{name}_head")(inputs) for name in ("weight", "age")}
        >>> output_names(keras.Model(inputs, heads)), output_names(keras.Model(inputs, list(heads.values())))
        (['age', 'weight'], ['weight_head', 'age_head'])
    """
    body = functional(model)
    return keys_of(structures(body)[1]) or list(body.output_names)


def by_output(given: Any, names: Sequence[str], what: str = "a loss") -> dict[str, Any]:
    """Returns what is given for each output: one thing for all, a list in their order, or a dict.

    Args:
        given: What was given. A dict may leave outputs out: they get `None`.
        names: Names of the outputs.
        what: What it is, for the message.

    Raises:
        PruneError: There is none of an output of that name, or another number of them.

    Example:
        >>> by_output({"heads": {"age": "mse"}}, ["heads/age", "heads/weight"])
        {'heads/age': 'mse', 'heads/weight': None}
    """
    if isinstance(given, Mapping):
        named = flat(given)
        unknown = [name for name in named if name not in names]
        if unknown:
            raise PruneError(
                f"Expected {what} for each of the outputs {list(names)}. Received: {unknown[0]!r}."
                f"{nearest(unknown[0], names)}"
            )
        return {name: named.get(name) for name in names}
    if isinstance(given, list | tuple):
        if len(given) != len(names):
            raise PruneError(f"Expected {what} for each of the outputs {list(names)}. Received: {len(given)} of them.")
        return dict(zip(names, given, strict=True))
    return dict.fromkeys(names, given)


def picked(given: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """Returns what is given for each output, as `by_output`; a dict may hold more, which is left out.

    Example:
        >>> picked({"age": 1, "unused": 2}, ["age", "weight"], "labels")
        {'age': 1, 'weight': None}
    """
    if isinstance(given, Mapping):
        named = flat(given)
        return {name: named.get(name) for name in names}
    return by_output(given, names, what)
