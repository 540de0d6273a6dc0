"""The table of rules: what each class of layer or operation does to channels.

A rule is `rule(graph, layer, x) -> ids`: `x` are the channel ids of its input, the result those of its output. It
does to the ids what the layer does to channels, and tells `graph` (see `builder.GraphBuilder`) what follows
them. Rules for layers that see more than one channel axis take and return whole `Ids` (`tensor_rule`).

How the *constant* of a removed channel passes through a layer is said beside the rule (`kerasprune.surgery.constants`):
`EVALUATED` (default: the layer is run on the constants), `POINTWISE` (it is run on one position), `CARRIED` (they pass
unchanged), `PADDED` (they pass, inside a border of zeros), `BIAS` (the layer makes new channels; a removed one emits
its bias), `NORMALISED` (BatchNorm), `SILENT` (nothing passes), `UNKNOWN` (what passes is no constant).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids

EVALUATED, POINTWISE, CARRIED, PADDED = "evaluated", "pointwise", "carried", "padded"
BIAS, NORMALISED, SILENT, UNKNOWN = "bias", "normalised", "silent", "unknown"

BUILT_IN = (
    "attention",
    "concat",
    "conv",
    "dense",
    "depth_to_space",
    "einsum",
    "embedding",
    "keras_applications",
    "matmul",
    "merge",
    "norm",
    "padding",
    "pointwise",
    "pooling",
    "recurrent",
    "reduction",
    "reshape",
    "slicing",
    "wrappers",
)
"""The files below `kerasprune/rules/`, one per kind of layer."""


@dataclass(frozen=True)
class Rule:
    """One entry of the table: a function on whole `Ids`, and how constants pass."""

    function: Callable[..., Any]
    constant: str = EVALUATED


class RuleTable:
    """The rules by class; those that come with the package are imported at the first look-up."""

    def __init__(self) -> None:
        self.rules: dict[type, Rule] = {}
        self._loaded = False

    def add(self, classes: Sequence[type], rule: Rule) -> None:
        """Adds a rule; a later one for the same class, a user's say, replaces the earlier."""
        self.load()
        self.rules.update(dict.fromkeys(classes, rule))

    def load(self) -> dict[type, Rule]:
        """Imports the rules that come with the package, once, and returns all."""
        if not self._loaded:
            self._loaded = True  # before importing: the modules add their rules here
            for name in BUILT_IN:
                importlib.import_module(f"kerasprune.rules.{name}")
        return self.rules


table = RuleTable()


def rule(*classes: type, constant: str = EVALUATED) -> Callable[[Callable], Callable]:
    """Teaches kerasprune a layer: registers `function(graph, layer, x) -> ids` for one or more classes.

    Args:
        *classes: Layer or operation classes; a later rule for the same class replaces the earlier.
        constant: How the constant of a removed channel passes through. Defaults to running the layer on it.

    Returns:
        A decorator that leaves the function as it is.

    Example:
        >>> import keras, kerasprune as kp
        >>> class Twice(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> @kp.rule(Twice)
        ... def twice(graph, layer, x):
        ...     return x
    """

    def decorate(function: Callable) -> Callable:
        table.add(classes, Rule(_on_channel_axis(function), constant))
        return function

    return decorate


def tensor_rule(*classes: type, constant: str = EVALUATED) -> Callable[[Callable], Callable]:
    """Registers `function(graph, operation, *args, **kwargs)`, which takes and returns whole `Ids`."""

    def decorate(function: Callable) -> Callable:
        table.add(classes, Rule(function, constant))
        return function

    return decorate


def find(operation: Any) -> Rule | None:
    """Returns the rule for an operation: that of its class, or of the nearest base that has one of its own `call`."""
    rules = table.load()
    for base in type(operation).__mro__:
        if base in rules:
            return rules[base]
        if "call" in vars(base) or "__call__" in vars(base):
            return None  # a subclass with a `call` of its own may do anything
    return None


def classes() -> list[type]:
    """Returns the classes that have a rule, by module and name."""
    return sorted(table.load(), key=lambda each: (each.__module__, each.__name__))


def channel_axis(layer: Any) -> int:
    """Returns the axis that holds a layer's channels."""
    if getattr(layer, "data_format", None) == "channels_first":
        return 1
    return -1


def _on_channel_axis(function: Callable) -> Callable:
    """Returns a rule on whole `Ids` from a rule on the ids of the channel axis."""

    @wraps(function)
    def on_ids(graph: GraphBuilder, layer: Any, x: Ids, *args: Any, **kwargs: Any) -> Ids:
        shape = graph.call.outputs[0]
        before, after = channel_axis(layer) % len(x.shape), channel_axis(layer) % len(shape)
        graph.pin_all(x, f"{layer.name!r} mixes that axis", but=(before,))
        ids = np.asarray(function(graph, layer, graph.on(x, before)))
        if shape[after] is not None and ids.size != shape[after]:
            raise PruneError(
                f"Expected the rule of {type(layer).__name__} to return one id per output channel "
                f"({shape[after]}). Received: {ids.size} ids for {layer.name!r}. Correct the rule."
            )
        return Ids(shape, {after: ids})

    return on_ids
