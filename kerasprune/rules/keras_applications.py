"""Layers that only the models of `keras.applications` bring along."""

from __future__ import annotations

import keras

from kerasprune._keras import CustomScaleLayer, LayerScale, StochasticDepth
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import POINTWISE, tensor_rule


@tensor_rule(CustomScaleLayer, constant=POINTWISE, reads=())
def scaled_sum(graph: GraphBuilder, layer: keras.layers.Layer, inputs: list[Ids]) -> Ids:
    """`x + scale · branch` (InceptionResNetV2)."""
    graph.merge(*(graph.on(x, -1) for x in inputs))
    return inputs[0]


@tensor_rule(LayerScale, constant=POINTWISE, reads=("projection_dim",))
def layer_scale(graph: GraphBuilder, layer: LayerScale, x: Ids) -> Ids:
    """`γ[c] · x[c]` (ConvNeXt)."""
    ids = graph.on(x, -1)
    graph.slices(layer, layer.gamma, ids, role="scale")
    graph.sets(layer, "projection_dim", ids)
    return Ids(x.shape, {**x.axes, len(x.shape) - 1: ids})


@tensor_rule(StochasticDepth, constant=POINTWISE, reads=())
def stochastic_depth(graph: GraphBuilder, layer: StochasticDepth, x: Ids) -> Ids:
    """Drops whole samples of a branch while training."""
    return x
