"""Layers and operations that keep the shape and treat every channel separately share one rule."""

from __future__ import annotations

from typing import Any

from keras import layers

from kerasprune._keras import StochasticDepth, TFDIdentity, core, nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import POINTWISE, classes_of_module, tensor_rule

_CLASSES = [each for module in (layers, knp, nn, core) for each in classes_of_module("pointwise", module)]


@tensor_rule(*_CLASSES, StochasticDepth, TFDIdentity, constant=POINTWISE, reads=())
def pointwise(graph: GraphBuilder, operation: Any, x: Ids) -> Ids:
    """`out[c] = f(x[c])`."""
    return x
