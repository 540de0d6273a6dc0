"""Wrappers around one layer."""

from __future__ import annotations

from keras import layers

from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import UNKNOWN, find, tensor_rule


@tensor_rule(layers.TimeDistributed, constant=UNKNOWN)
def time_distributed(graph: GraphBuilder, layer: layers.TimeDistributed, x: Ids) -> Ids:
    """The wrapped layer at every step in time."""
    rule = find(layer.layer)
    if rule is None:
        kind = type(layer.layer).__name__
        raise PruneError(
            f"Expected a layer with a rule inside {layer.name!r}. Received: {layer.layer.name!r} of class {kind}. "
            f"Teach it with @kp.rule({kind}), or keep its channels with kp.trace(model, unknown='freeze')."
        )
    graph.wrapped(layer.layer, layer, "layer", "config")
    return rule.function(graph, layer.layer, x)
