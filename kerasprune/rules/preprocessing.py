"""Preprocessing: words, numbers and sounds into tensors, whose channels are kept."""

from __future__ import annotations

from typing import Any

from keras import layers, tree

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import UNKNOWN, classes_of_module, tensor_rule

_CLASSES = [each for each in classes_of_module("preprocessing", layers) if each is not layers.Masking]


@tensor_rule(*_CLASSES, constant=UNKNOWN)
def preprocessing(graph: GraphBuilder, layer: layers.Layer, x: Any) -> list[Ids]:
    """Looks up, counts or transforms inputs as a whole."""
    for each in tree.flatten(x):
        graph.pin_all(each, f"{layer.name!r} transforms them as a whole")
    return [Ids(shape) for shape in graph.call.outputs]


@tensor_rule(layers.Masking, constant=UNKNOWN, reads=("mask_value",))
def masking(graph: GraphBuilder, layer: layers.Masking, x: Ids) -> Ids:
    """Marks the steps at which all channels have one value, for later layers to skip."""
    graph.pin_all(x, f"{layer.name!r} compares all channels of a step with a value")
    return x
