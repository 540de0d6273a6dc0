"""Wrappers around one layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, tree

from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import KEEP_ITS_CHANNELS, UNKNOWN, Rule, find, tensor_rule


@tensor_rule(layers.TimeDistributed, constant=UNKNOWN, reads=("layer",))
def time_distributed(graph: GraphBuilder, layer: layers.TimeDistributed, x: Ids) -> Ids:
    """Applies the wrapped layer to every step in time separately."""
    rule = _rule_inside(layer)
    with graph.inside(layer.layer, layer, x, "layer", "config") as step:
        made = rule.function(graph, layer.layer, step)
    made = made if isinstance(made, Ids) else made[0]
    return made.moved(graph.call.outputs[0], [None, *range(len(made.shape))])


@tensor_rule(layers.SpectralNormalization, constant=UNKNOWN, reads=("layer", "power_iterations"))
def spectral_normalization(graph: GraphBuilder, layer: layers.SpectralNormalization, x: Ids) -> list[Ids]:
    """Applies the wrapped layer; in training mode the kernel is divided by `σ`, estimated along its last axis."""
    rule = _rule_inside(layer)
    graph.wrapped(layer.layer, layer, "layer", "config")
    made = rule.function(graph, layer.layer, x)
    graph.slices(layer, layer.vector_u, None, graph.along(layer.kernel)[-1])
    return tree.flatten(made)


def _rule_inside(wrapper: keras.layers.Wrapper) -> Rule:
    """Returns the rule of the one layer that a wrapper wraps, which reads all its arguments."""
    inner: Any = wrapper.layer
    if isinstance(inner, keras.Model):
        raise PruneError(
            f"Expected one layer inside {wrapper.name!r}. Received: {inner.name!r} of class {type(inner).__name__}, a "
            "model of several. Write it out with kp.functional(model) first, or "
            f"{KEEP_ITS_CHANNELS}"
        )
    rule = find(inner)
    unread = rule.unread(inner) if rule is not None else []
    if rule is not None and not unread:
        return rule
    kind = type(inner).__name__
    given = f" with {', '.join(unread)}" if unread else ""
    raise PruneError(
        f"Expected a layer with a rule inside {wrapper.name!r}. Received: {inner.name!r} of class {kind}{given}. "
        f"Teach it with @kp.rule({kind}), or {KEEP_ITS_CHANNELS}"
    )
