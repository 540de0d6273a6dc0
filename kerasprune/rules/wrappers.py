"""Wrappers around one layer."""

from __future__ import annotations

from keras import layers

from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import UNKNOWN, find, tensor_rule


@tensor_rule(layers.TimeDistributed, constant=UNKNOWN, reads=("layer",))
def time_distributed(graph: GraphBuilder, layer: layers.TimeDistributed, x: Ids) -> Ids:
    """The wrapped layer at every step in time, which sees one axis less."""
    rule = find(layer.layer)
    if rule is None:
        kind = type(layer.layer).__name__
        raise PruneError(
            f"Expected a layer with a rule inside {layer.name!r}. Received: {layer.layer.name!r} of class {kind}. "
            f"Teach it with @kp.rule({kind}), or keep its channels with kp.trace(model, unknown='freeze')."
        )
    with graph.inside(layer.layer, layer, x, "layer", "config") as step:
        made = rule.function(graph, layer.layer, step)
    made = made if isinstance(made, Ids) else made[0]
    return Ids(graph.call.outputs[0], {axis + 1: ids for axis, ids in made.axes.items()})
