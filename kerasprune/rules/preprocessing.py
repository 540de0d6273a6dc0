"""Words, numbers and sounds made into tensors, in front of a network: what they make stays."""

from __future__ import annotations

from typing import Any

from keras import layers, tree

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import UNKNOWN, tensor_rule

_NAMES = (
    "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "MaxNumBoundingBoxes",
    "MelSpectrogram", "Pipeline", "STFTSpectrogram", "StringLookup", "TextVectorization",
)  # fmt: skip
_LAYERS = [getattr(layers, name) for name in _NAMES if hasattr(layers, name)]


@tensor_rule(*_LAYERS, constant=UNKNOWN)
def preprocessing(graph: GraphBuilder, layer: layers.Layer, x: Any) -> list[Ids]:
    """What goes in is looked up, counted or transformed as a whole."""
    for each in tree.flatten(x):
        graph.pin_all(each, f"{layer.name!r} transforms them as a whole")
    return [Ids(shape) for shape in graph.call.outputs]


@tensor_rule(layers.Masking, constant=UNKNOWN, reads=("mask_value",))
def masking(graph: GraphBuilder, layer: layers.Masking, x: Ids) -> Ids:
    """Steps all of whose channels have one value are left out by the layers behind."""
    graph.pin_all(x, f"{layer.name!r} compares all channels of a step with a value")
    return x
