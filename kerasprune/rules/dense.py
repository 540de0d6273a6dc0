"""Dense layers, on vectors and on every position of a tensor."""

from __future__ import annotations

import numpy as np
from keras import layers

from kerasprune._keras import stored_kernel
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.rule import BIAS, rule
from kerasprune.rules.activations import biased_and_activated


@rule(layers.Dense, constant=BIAS, reads=("units", "activation"))
def dense(graph: GraphBuilder, layer: layers.Dense, x: np.ndarray) -> np.ndarray:
    """`out[u] = Σ_c kernel[c, u] · x[c] + bias[u]`."""
    out = graph.new(layer, layer.units)
    graph.kernel(layer, stored_kernel(layer), x, out, reads=(0,), makes=(1,))
    graph.sets(layer, "units", out)
    return biased_and_activated(graph, layer, out)
