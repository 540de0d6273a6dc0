"""Embedding: from whole numbers to vectors."""

from __future__ import annotations

from keras import layers

from kerasprune._keras import stored_embeddings
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, tensor_rule


@tensor_rule(layers.Embedding, constant=SILENT, reads=("output_dim", "weights"))
def embedding(graph: GraphBuilder, layer: layers.Embedding, x: Ids) -> Ids:
    """`out[…, c] = table[x[…], c]`; the numbers that are looked up stay as they are."""
    graph.pin_all(x, f"{layer.name!r} looks them up")
    shape = graph.call.outputs[0]
    out = graph.new(layer, layer.output_dim)
    graph.kernel(layer, stored_embeddings(layer), None, out, makes=(1,), counted=False)
    graph.sets(layer, "output_dim", out)
    return Ids(shape, {len(shape) - 1: out})
