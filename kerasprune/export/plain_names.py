"""Models whose layers have names that TensorFlow does not take in a graph, such as `conv 1`, under plain ones."""

from __future__ import annotations

import re
from typing import Any

import keras

from kerasprune._keras import inner_layers
from kerasprune.data.signature import identifiers, is_graph
from kerasprune.graph.graph import values
from kerasprune.graph.walk import is_model
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
    layers = [each for each in inner_layers(model) if not isinstance(each, keras.layers.InputLayer)]
    layers = list({id(layer): layer for layer in layers}.values())
    if not is_graph(model) or all(_SCOPE.fullmatch(layer.name) for layer in layers):
        return model
    names = [re.sub(r"^[\W_]", "layer_", layer.name, flags=re.ASCII) for layer in layers]  # a letter comes first
    plain = dict(zip(map(id, layers), identifiers(names), strict=True))

    def make(operation: Any) -> Any:
        named = {("name",): plain[id(operation)]} if id(operation) in plain else {}
        return make_layer(operation, named)

    new, made = clone(model, make, value=values)
    for layer in layers:
        if is_model(layer):
            made.get(id(layer), new).name = plain[id(layer)]
    return new
