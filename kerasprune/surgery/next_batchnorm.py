"""The BatchNorm that alone takes what a layer makes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.rule import channel_axis
from kerasprune.graph.walk import functional, is_model, nodes


def following_norms(graph: ChannelGraph) -> dict[int, keras.layers.BatchNormalization]:
    """Returns `{id(layer): BatchNorm}` for layers whose linear output goes to that BatchNorm alone, along its axis.

    A constant that is to be added to such an output may as well be taken from the BatchNorm's mean. Layers that are
    called several times are left out, and a BatchNorm that went with its block.

    Args:
        graph: The graph, without the blocks that are dropped.
    """
    calls: Counter[int] = Counter()
    makers: dict[int, tuple[Any, Any]] = {}
    readers: dict[int, list[Any]] = {}

    def enter(body: keras.Model) -> None:
        for node in nodes(body):
            calls[id(node.operation)] += 1
            for tensor in node.input_tensors:
                readers.setdefault(id(tensor), []).append(node.operation)
            if is_model(node.operation):
                enter(functional(node.operation))
            elif len(node.outputs) == 1:
                makers[id(node.operation)] = node.operation, node.outputs[0]
        for tensor in body.outputs:
            readers.setdefault(id(tensor), []).append(None)

    enter(functional(graph.model))
    there = {id(call.operation) for call in graph.calls}
    found = {}
    for layer, output in makers.values():
        norm, *others = readers.get(id(output), [None])
        if others or type(norm) is not keras.layers.BatchNormalization or id(norm) not in there:
            continue
        linear = getattr(layer, "activation", None) is keras.activations.linear
        rank = len(output.shape)
        along = norm.axis % rank == channel_axis(layer) % rank
        if linear and along and calls[id(layer)] == calls[id(norm)] == 1:
            found[id(layer)] = norm
    return found
