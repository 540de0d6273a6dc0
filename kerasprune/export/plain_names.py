"""Models whose layers have names that TensorFlow does not take in a graph, or that repeat, under others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from kerasprune._keras import inner_layers
from kerasprune.data.signature import identifiers, is_graph
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import values
from kerasprune.graph.walk import all_nodes, is_model
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import make_layer

_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # what TensorFlow takes as the name of a scope


def with_plain_names(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in which layers have names for TensorFlow; the model itself if all have them.

    Args:
        model: A functional or Sequential model; one without a graph is returned as it is.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense 1")])
        >>> [layer.name for layer in with_plain_names(model).layers[1:]]
        ['dense_1']
    """
    layers = _layers(model)
    if not is_graph(model) or all(_SCOPE.fullmatch(layer.name) for layer in layers):
        return model
    names = [re.sub(r"^[\W_]", "layer_", layer.name, flags=re.ASCII) for layer in layers]  # a letter comes first
    return _renamed(model, layers, names)


def with_distinct_names(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in which layers of models inside it have other names; itself if all names differ.

    An ensemble of two loaded networks has layers of one name in both. Those of the model itself, which name its
    outputs, keep theirs.

    Args:
        model: A functional or Sequential model; one without a graph is returned as it is.
    """
    if not is_graph(model):
        return model
    called = {id(node.operation) for node in all_nodes(model)}
    names = [layer.name for layer in _layers(model) if id(layer) in called]
    if len(set(names)) == len(names):
        return model
    own = {id(layer) for layer in body_of(model).layers}
    layers = sorted(_layers(model), key=lambda layer: id(layer) not in own)
    return _renamed(model, layers, [layer.name for layer in layers])


def _layers(model: keras.Model) -> list[Any]:
    layers = [each for each in inner_layers(model) if not isinstance(each, keras.layers.InputLayer)]
    return list({id(layer): layer for layer in layers}.values())


def _renamed(model: keras.Model, layers: Sequence[Any], names: Sequence[str]) -> keras.Model:
    """Returns a copy of a model whose layers have distinct names made of these."""
    plain = dict(zip(map(id, layers), identifiers(names), strict=True))

    def make(operation: Any) -> Any:
        named = {("name",): plain[id(operation)]} if id(operation) in plain else {}
        return make_layer(operation, named)

    new, made = clone(model, make, value=values)
    for layer in layers:
        if is_model(layer):
            made.get(id(layer), new).name = plain[id(layer)]
    return new
