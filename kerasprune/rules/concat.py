"""Concatenation: the ids are concatenated, along whatever axis the tensors are."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import TFDConcat
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import tensor_rule


@tensor_rule(layers.Concatenate, TFDConcat, knp.Concatenate, reads=("axis",))
def concatenate(graph: GraphBuilder, operation: Any, inputs: list[Ids]) -> Ids:
    """`out = [x_1; x_2; …]` along one axis; channels on the other axes are tied."""
    shape = graph.call.outputs[0]
    along = operation.axis % len(shape)
    axes = {}
    for axis in sorted(set().union(*(x.axes for x in inputs))):
        if axis == along:
            axes[axis] = np.concatenate([graph.on(x, axis) for x in inputs])
        else:
            axes[axis] = graph.tie(*(graph.on(x, axis) for x in inputs))
    return Ids(shape, axes)
