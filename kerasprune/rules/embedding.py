"""Embeddings: from integers to vectors, and back."""

from __future__ import annotations

from keras import layers

from kerasprune._keras import stored_embeddings
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, tensor_rule


@tensor_rule(layers.Embedding, constant=SILENT, reads=("output_dim", "weights"))
def embedding(graph: GraphBuilder, layer: layers.Embedding, x: Ids) -> Ids:
    """`out[…, c] = table[x[…], c]`; the integers that are looked up are kept."""
    graph.pin_all(x, f"{layer.name!r} looks them up")
    shape = graph.call.outputs[0]
    out = graph.new(layer, layer.output_dim)
    graph.kernel(layer, stored_embeddings(layer), None, out, makes=(1,), positions=0)
    graph.sets(layer, "output_dim", out)
    return Ids(shape, {len(shape) - 1: out})


@tensor_rule(
    layers.ReversibleEmbedding,
    constant=SILENT,
    reads=("output_dim", "weights", "tie_weights", "reverse_dtype", "logit_soft_cap"),
)
def reversible_embedding(graph: GraphBuilder, layer: layers.ReversibleEmbedding, x: Ids, reverse: bool = False) -> Ids:
    """Looks up as an embedding, or computes `out[…, v] = Σ_c x[…, c] · table[v, c]`, with the same table or another."""
    shape = graph.call.outputs[0]
    applied = graph.positions(shape) if reverse else 0
    ids = graph.new(layer, layer.output_dim)
    if reverse:
        graph.tie(graph.on(x, -1), ids)
    else:
        graph.pin_all(x, f"{layer.name!r} looks them up")
    table = stored_embeddings(layer)
    if layer.tie_weights:
        graph.kernel(layer, table, None, ids, reads=(1,), makes=(1,), positions=applied)
    else:
        graph.kernel(layer, table, None, ids, makes=(1,), positions=0)
        graph.kernel(layer, layer.reverse_embeddings, ids, None, reads=(0,), positions=applied)
    graph.sets(layer, "output_dim", ids)
    if not reverse:
        return Ids(shape, {len(shape) - 1: ids})
    return x.moved(shape, range(len(x.shape) - 1))
