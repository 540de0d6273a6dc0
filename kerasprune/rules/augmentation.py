"""Augmentation: images changed during training, whose channels are kept."""

from __future__ import annotations

from typing import Any

from keras import layers, tree

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import UNKNOWN, classes_of_module, tensor_rule


@tensor_rule(*classes_of_module("augmentation", layers), constant=UNKNOWN)
def augmentation(graph: GraphBuilder, layer: layers.Layer, x: Any) -> list[Ids]:
    """Identity, or a function of colours, in inference; in training colours may be mixed.

    Images come alone, or in a dict with labels and boxes, in the order of `tree.flatten`.
    """
    given = tree.flatten(x)
    for each in given:
        graph.pin_all(each, f"{layer.name!r} changes images during training")
    return [Ids(shape, dict(each.axes)) for shape, each in zip(graph.call.outputs, given, strict=True)]
