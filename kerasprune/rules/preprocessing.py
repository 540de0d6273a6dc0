"""Words, numbers, sounds made into tensors, and images changed while training: what they make stays."""

from __future__ import annotations

from typing import Any

from keras import layers, tree

from kerasprune.graph.channels import Ids
from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.rule import UNKNOWN, named, tensor_rule

_NOT_OF_IMAGES = (
    "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "MaxNumBoundingBoxes",
    "MelSpectrogram", "Pipeline", "STFTSpectrogram", "StringLookup", "TextVectorization",
)  # fmt: skip


@tensor_rule(*(each for each in named("preprocessing", layers) if each.__name__ in _NOT_OF_IMAGES), constant=UNKNOWN)
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


_OTHERS = ("Masking", *_NOT_OF_IMAGES)


@tensor_rule(*(each for each in named("preprocessing", layers) if each.__name__ not in _OTHERS), constant=UNKNOWN)
def augmentation(graph: GraphBuilder, layer: layers.Layer, x: Any) -> list[Ids]:
    """Identity, or a function of colours, when the network is used; in training colours may be mixed.

    Images come alone, or in a dict with labels and boxes, whose order flattening keeps.
    """
    given = tree.flatten(x)
    for each in given:
        graph.pin_all(each, f"{layer.name!r} changes images while training")
    return [Ids(shape, dict(each.axes)) for shape, each in zip(graph.call.outputs, given, strict=True)]
