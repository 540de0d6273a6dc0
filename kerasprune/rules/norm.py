"""Normalisations, with statistics of every channel, or over the channels that exist."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import NORMALISED, POINTWISE, SILENT, tensor_rule


@tensor_rule(layers.BatchNormalization, constant=NORMALISED, reads=("axis",))
def batch_normalization(graph: GraphBuilder, layer: layers.BatchNormalization, x: Ids) -> Ids:
    """`γ (x − μ) / sqrt(σ² + ε) + β`, every channel separately. A masked one emits β, its mean over the data."""
    ids = graph.on(x, layer.axis)
    graph.slices(layer, layer.gamma, ids, role="scale")
    graph.slices(layer, layer.beta, ids, role="bias")
    graph.slices(layer, layer.moving_mean, ids)
    graph.slices(layer, layer.moving_variance, ids, makes=(0,), silent=np.inf)
    return Ids(x.shape, {**x.axes, layer.axis % len(x.shape): ids})


@tensor_rule(layers.LayerNormalization, constant=SILENT, reads=("axis",))
def layer_normalization(graph: GraphBuilder, layer: layers.LayerNormalization, x: Ids) -> Ids:
    """Normalises by the mean and variance over the channels of one position."""
    return _over_channels(graph, layer, x, layer.gamma, layer.beta)


@tensor_rule(layers.RMSNormalization, constant=SILENT, reads=("axis",))
def rms_normalization(graph: GraphBuilder, layer: layers.RMSNormalization, x: Ids) -> Ids:
    """Normalises by the root mean square over the channels of one position."""
    return _over_channels(graph, layer, x, layer.scale)


def _over_channels(graph: GraphBuilder, layer: Any, x: Ids, *variables: Any) -> Ids:
    axes = sorted((np.atleast_1d(layer.axis) % len(x.shape)).tolist())
    if axes != [len(x.shape) - 1]:
        graph.pin_all(x, f"{layer.name!r} normalises over axes {axes}")
        return x
    return normalise_last_axis(graph, layer, x, *variables)


def normalise_last_axis(graph: GraphBuilder, layer: Any, x: Ids, *variables: Any) -> Ids:
    """Describes a layer with statistics over the channels of the last axis, and its weights for each of them."""
    ids, last = graph.on(x, -1), len(x.shape) - 1
    for variable in variables:
        graph.slices(layer, variable, ids)
    graph.norm(layer, -1, ids)
    graph.emits(x.axes.keys() - {last})  # β, at positions that are all the same
    return Ids(x.shape, {**x.axes, last: ids})


@tensor_rule(layers.GroupNormalization, constant=SILENT, reads=("groups", "axis"))
def group_normalization(graph: GraphBuilder, layer: layers.GroupNormalization, x: Ids) -> Ids:
    """Normalises by the statistics of each group of channels; every group loses the same number of channels."""
    axis = layer.axis % len(x.shape)
    if axis != len(x.shape) - 1 and x.axes.keys() - {axis}:
        # Its statistics run over all axes but the batch and those of other groups, channels of another axis included.
        graph.pin_all(x, f"{layer.name!r} takes its statistics over the channels, axis={layer.axis}")
    else:
        graph.pin_all(x, f"{layer.name!r} takes its statistics over that axis", but=(axis,))
    ids = graph.on(x, axis)
    graph.slices(layer, layer.gamma, ids)
    graph.slices(layer, layer.beta, ids)
    if layer.groups in (-1, ids.size):
        graph.sets(layer, "groups", ids)
    elif layer.groups > 1:
        graph.tie(*ids.reshape(layer.groups, -1))
    graph.norm(layer, layer.axis, ids)
    return Ids(x.shape, {**x.axes, axis: ids})


@tensor_rule(layers.UnitNormalization, reads=("axis",))
def unit_normalization(graph: GraphBuilder, layer: layers.UnitNormalization, x: Ids) -> Ids:
    """Scales to length one over some axes."""
    graph.pin_all(x, f"{layer.name!r} divides by a norm over the channels")
    return x


@tensor_rule(layers.Normalization, constant=POINTWISE, reads=("axis", "mean", "variance", "invert"))
def normalization(graph: GraphBuilder, layer: layers.Normalization, x: Ids) -> Ids:
    """Normalises inputs by the mean and variance of the data set; their channels are kept anyway."""
    graph.pin_all(x, f"{layer.name!r} holds statistics of the data")
    return x
