"""Embedding: from whole numbers to vectors, and back."""

from __future__ import annotations

from keras import layers

from kerasprune._keras import stored_embeddings
from kerasprune.graph.channels import Ids
from kerasprune.graph.coupling import GraphBuilder
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


@tensor_rule(
    layers.ReversibleEmbedding,
    constant=SILENT,
    reads=("output_dim", "weights", "tie_weights", "reverse_dtype", "logit_soft_cap"),
)
def reversible_embedding(graph: GraphBuilder, layer: layers.ReversibleEmbedding, x: Ids, reverse: bool = False) -> Ids:
    """As an embedding, or `out[…, v] = Σ_c x[…, c] · table[v, c]` with the same table, or with one of its own."""
    shape, rank = graph.call.outputs[0], len(x.shape)
    ids = graph.new(layer, layer.output_dim)
    if reverse:
        graph.tie(graph.on(x, -1), ids)
    else:
        graph.pin_all(x, f"{layer.name!r} looks them up")
    tied = layer.tie_weights
    table = stored_embeddings(layer)
    graph.kernel(layer, table, None, ids, reads=(1,) if tied else (), makes=(1,), counted=tied and reverse)
    if not tied:
        graph.kernel(layer, layer.reverse_embeddings, ids, None, reads=(0,), counted=reverse)
    graph.sets(layer, "output_dim", ids)
    if not reverse:
        return Ids(shape, {len(shape) - 1: ids})
    return Ids(shape, {axis: each for axis, each in x.axes.items() if axis != rank - 1})
