"""Attention layers: whole heads are pruned, and sizes of keys and values, by rewriting the config."""

from __future__ import annotations

from math import sqrt
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import attention_parts
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, tensor_rule


@tensor_rule(
    layers.MultiHeadAttention,
    layers.GroupQueryAttention,
    constant=SILENT,
    ignored=("query_mask", "value_mask", "key_mask", "use_causal_mask"),
    reads=(
        "num_heads", "key_dim", "value_dim", "output_shape", "attention_axes",
        "num_query_heads", "num_key_value_heads", "head_dim",
    ),
)  # fmt: skip
def multi_head_attention(
    graph: GraphBuilder,
    layer: Any,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
) -> list[Ids]:
    """`softmax(q kᵀ / √d) v`, head by head, then a projection.

    Kernels are `(channels, heads, size)` and `(heads, size, channels)`; q and k share the sizes of their heads. In
    grouped-query attention several query heads share a key and value head, and all heads have one size.
    """
    parts = attention_parts(layer)
    dense, positions = parts.output_dense, graph.positions(query.shape)
    heads, groups, sizes, values = _heads_and_sizes(graph, layer)
    several = len(dense.kernel.shape) != 3  # an output of several axes keeps them all
    out = [None] * (len(dense.kernel.shape) - 2) if several else [graph.new(layer, dense.kernel.shape[-1])]

    project(graph, layer, parts.query_dense, query, heads, sizes, compared=True)
    project(graph, layer, parts.key_dense, key or value, groups, sizes, compared=True)
    project(graph, layer, parts.value_dense, value, groups, values)
    if parts.gate_dense is not None:
        project(graph, layer, parts.gate_dense, query, heads, values)
    made = () if several else (2,)
    graph.kernel(layer, dense.kernel, heads, values, *out, reads=(0, 1), makes=made, positions=positions)
    if not several:
        graph.slices(layer, dense.bias, *out, role="bias", makes=(0,))
    for variable in (parts.query_dense.kernel, parts.query_dense.bias):  # the layer divides by √d of its new d
        graph.scaled(variable, lambda count: sqrt(count(sizes) / sizes.size))
    for size in (sizes, values):  # q times k, then the weights times v, for every pair of positions
        graph.product(heads, positions, graph.positions(value.shape), size)

    _pin_heads(graph, layer, groups, attention_mask, len(query.shape), return_attention_scores)
    if isinstance(layer, layers.GroupQueryAttention):
        graph.tie(graph.on(query, -1), graph.on(value, -1), *out)  # this layer requires them to be equally wide
    elif not several:
        graph.sets(layer, "output_shape", lambda count: (count(*out),))
    first, *scores = graph.call.outputs
    return [Ids(first, {} if several else {len(first) - 1: out[0]}), *map(Ids, scores)]


def _heads_and_sizes(graph: GraphBuilder, layer: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the heads of queries, the heads of keys and values, the sizes of keys, and those of values."""
    if isinstance(layer, layers.GroupQueryAttention):
        groups = graph.new(layer, layer.num_key_value_heads, "heads")
        heads = np.repeat(groups, layer.num_query_heads // layer.num_key_value_heads)
        sizes = values = graph.new(layer, layer.head_dim, "head_dim")
        counts = {"num_query_heads": heads, "num_key_value_heads": groups, "head_dim": sizes}
    else:
        parts = attention_parts(layer)
        groups = heads = graph.new(layer, parts.num_heads, "heads")
        sizes = graph.new(layer, parts.key_dim, "key_dim")
        values = graph.new(layer, parts.value_dim, "value_dim")
        counts = {"num_heads": heads, "key_dim": sizes, "value_dim": values}
        if keras.backend.backend() == "jax" and sizes.size == values.size:
            graph.tie(sizes, values)  # there Keras computes attention for keys and values of one size only
    for name, ids in counts.items():
        graph.sets(layer, name, ids)
    return heads, groups, sizes, values


def project(
    graph: GraphBuilder, layer: Any, dense: Any, x: Ids, heads: np.ndarray, sizes: np.ndarray, compared: bool = False
) -> None:
    """Describes a projection to heads; removed sizes of queries and keys must be silent, bias included."""
    graph.pin_all(x, f"{layer.name!r} attends along that axis", but=(len(x.shape) - 1,))
    read = (2,) if compared else ()
    positions = graph.positions(x.shape)
    x = graph.on(x, -1)
    graph.kernel(layer, dense.kernel, x, heads, sizes, reads=(0, *read), makes=(1, 2), positions=positions)
    graph.slices(layer, dense.bias, heads, sizes, reads=(1,) if compared else (), makes=(0, 1), role="bias")


def _pin_heads(graph: GraphBuilder, layer: Any, heads: np.ndarray, mask: Any, rank: int, scores_returned: bool) -> None:
    """Keeps all heads if other layers distinguish them: by a mask for each of them, or by the scores."""
    if isinstance(mask, Ids):
        graph.pin_all(mask, f"{layer.name!r} reads it as attention_mask")
    shape = mask.shape if isinstance(mask, Ids) else np.shape(mask)
    if len(shape) > rank:  # (batch, heads, queries, keys)
        graph.pin(heads, f"{layer.name!r} is given a mask for each of its heads")
    if scores_returned:
        graph.pin(heads, f"{layer.name!r} returns the scores of its heads")
