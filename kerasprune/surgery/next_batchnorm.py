"""The BatchNorm that alone takes what a layer makes."""

from __future__ import annotations

from collections import Counter

import keras

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.rule import channel_axis
from kerasprune.graph.walk import functional, is_model, nodes
from kerasprune.graph.wiring import bodies, wiring


def following_norms(graph: ChannelGraph) -> dict[int, keras.layers.BatchNormalization]:
    """Returns `{id(layer): BatchNorm}` for layers whose linear output goes to that BatchNorm alone, along its axis.

    A constant that is to be added to such an output may as well be taken from the BatchNorm's mean. Layers that are
    called several times are left out, and a BatchNorm that went with its block.

    Args:
        graph: The graph, without the blocks that are dropped.
    """
    entered = list(bodies(functional(graph.model)))
    wired, calls = wiring(*entered), [node for body in entered for node in nodes(body)]
    times = Counter(id(node.operation) for node in calls)
    there = {id(call.operation) for call in graph.calls}
    found = {}
    for node in calls:
        layer, output = node.operation, node.outputs[0]
        readers = wired.readers_of(output)
        if is_model(layer) or len(node.outputs) > 1 or len(readers) != 1 or readers[0] is None:
            continue
        norm = readers[0].operation
        if type(norm) is not keras.layers.BatchNormalization or id(norm) not in there:
            continue
        linear = getattr(layer, "activation", None) is keras.activations.linear
        rank = len(output.shape)
        along = norm.axis % rank == channel_axis(layer) % rank
        if linear and along and times[id(layer)] == times[id(norm)] == 1:
            found[id(layer)] = norm
    return found
