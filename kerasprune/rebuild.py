"""`rebuild`: from a model and a plan to an ordinary, slimmer functional model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.absorption import fold
from kerasprune.cloning import clone, make_layer
from kerasprune.graph import ChannelGraph, Count, Slice
from kerasprune.plans import Plan
from kerasprune.tracing import trace


def rebuild(model: keras.Model, plan: Plan, absorb: bool = True) -> keras.Model:
    """Builds the slim model that a plan describes.

    Every variable is cut along its axes to the channels that stay, every config follows. The result holds no
    wrapper, no zero and no custom code of kerasprune.

    Args:
        model: The trained model; it is left untouched.
        plan: What stays.
        absorb: Fold the constants that removed channels still emit (bias, BatchNorm β through the activation) into
            the biases of their consumers, adding a bias where there is none. Exact where the consumer sees no
            padding; see `absorption.border_error`. Defaults to `True`.

    Returns:
        A functional model with its own weights, not compiled.

    Raises:
        PruneError: The plan does not fit the model.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((8, 8, 3))
        >>> x = keras.layers.Conv2D(4, 3, name="first")(inputs)
        >>> x = keras.layers.GlobalAveragePooling2D()(x)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> kp.rebuild(model, kp.Plan({"first": [0, 3]})).get_layer("first").filters
        2
    """
    graph = graph_for(model, plan)
    alive = graph.alive(plan.keep)
    biases = fold(graph, plan).biases if absorb else {}
    changes: dict[int, dict[tuple[str, ...], Any]] = {id(layer): {("use_bias",): True} for layer, _ in biases.values()}

    def count(ids: np.ndarray) -> int:
        return int(alive[ids].sum())

    for setting in graph.settings:
        changes.setdefault(id(setting.owner), {})[setting.key] = setting.value(count)
    new, made = clone(
        model,
        lambda layer: make_layer(layer, changes.get(id(layer), {})),
        lambda node, index, value: _changed(graph, alive, node, index, value),
    )
    slices = {id(entry.variable): entry for entry in graph.slices}
    for call in graph.calls:
        layer = call.operation
        if getattr(layer, "weights", ()):
            copy_weights(layer, made[id(layer)], lambda v: _cut(slices.get(id(v)), v, alive, count))
    for layer, bias in biases.values():
        target = made[id(layer)].bias
        target.assign(bias)
    return new


def graph_for(model: keras.Model, plan: Plan) -> ChannelGraph:
    """Returns the graph of a model as a plan sees it, having checked that they fit."""
    graph = trace(model, coupling=plan.coupling, unknown="freeze")
    plan.check(graph)
    return graph


def copy_weights(old: Any, new: Any, value: Any) -> None:
    """Gives a new layer the weights of an old one, each through `value(variable)`; an added bias is left out."""
    added = () if len(new.weights) == len(old.weights) else (id(new.bias),)
    targets = [variable for variable in new.weights if id(variable) not in added]
    for variable, target in zip(old.weights, targets, strict=True):
        target.assign(value(variable))


def _cut(entry: Slice | None, variable: Any, alive: np.ndarray, count: Count) -> np.ndarray:
    array = keras.ops.convert_to_numpy(variable)
    for axis, ids in enumerate(entry.ids if entry else ()):
        if ids is not None and not alive[ids].all():
            array = np.compress(alive[ids], array, axis=axis)
    return array if entry is None or entry.factor is None else array * np.asarray(entry.factor(count), array.dtype)


def _changed(graph: ChannelGraph, alive: np.ndarray, node: Any, index: int, value: Any) -> Any:
    change = graph.arguments.get((id(node), index))
    return value if change is None else change(value, lambda ids: alive[ids])
