"""Attention layers: whole heads go, and sizes of keys and values, by rewriting the config."""

from __future__ import annotations

from math import sqrt
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import attention_parts
from kerasprune.graph.channels import Ids
from kerasprune.graph.coupling import GraphBuilder
from kerasprune.graph.rule import SILENT, tensor_rule

_MASKS = ("query_mask", "value_mask", "key_mask", "use_causal_mask")


@tensor_rule(
    layers.MultiHeadAttention,
    constant=SILENT,
    ignored=_MASKS,
    reads=("num_heads", "key_dim", "value_dim", "output_shape", "attention_axes"),
)
def multi_head_attention(
    graph: GraphBuilder,
    layer: layers.MultiHeadAttention,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
) -> list[Ids]:
    """`softmax(q kᵀ / √d) v`, head by head, then a projection.

    Kernels are `(channels, heads, size)` and `(heads, size, channels)`; q and k share the sizes of their heads.
    """
    parts = attention_parts(layer)
    heads = graph.new(layer, parts.num_heads, "heads")
    sizes = graph.new(layer, parts.key_dim, "key_dim")
    values = graph.new(layer, parts.value_dim, "value_dim")
    several = len(layer.output_dense.kernel.shape) != 3  # an output of several axes keeps them all
    out = None if several else graph.new(layer, layer.output_dense.kernel.shape[-1])
    _attends(graph, layer, query, value, key or value, heads, heads, sizes, values, out)
    if keras.backend.backend() == "jax" and sizes.size == values.size:
        graph.tie(sizes, values)  # there Keras computes attention for keys and values of one size only
    graph.sets(layer, "num_heads", heads)
    graph.sets(layer, "key_dim", sizes)
    graph.sets(layer, "value_dim", values)
    if out is not None:
        graph.sets(layer, "output_shape", lambda count: (count(out),))
    _seen_by_head(graph, layer, heads, attention_mask, len(query.shape), return_attention_scores)
    return _results(graph, out)


@tensor_rule(
    layers.GroupQueryAttention,
    constant=SILENT,
    ignored=_MASKS,
    reads=("num_query_heads", "num_key_value_heads", "head_dim"),
)
def group_query_attention(
    graph: GraphBuilder,
    layer: layers.GroupQueryAttention,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
) -> list[Ids]:
    """As multi-head attention, several query heads sharing each key and value head; all heads have one size."""
    groups = graph.new(layer, layer.num_key_value_heads, "heads")
    heads = np.repeat(groups, layer.num_query_heads // layer.num_key_value_heads)
    sizes = graph.new(layer, layer.head_dim, "head_dim")
    out = graph.new(layer, attention_parts(layer).output_dense.kernel.shape[-1])
    _attends(graph, layer, query, value, key or value, heads, groups, sizes, sizes, out)
    graph.sets(layer, "num_query_heads", heads)
    graph.sets(layer, "num_key_value_heads", groups)
    graph.sets(layer, "head_dim", sizes)
    _seen_by_head(graph, layer, groups, attention_mask, len(query.shape), return_attention_scores)
    graph.tie(graph.on(query, -1), graph.on(value, -1), out)  # this layer wants them equally wide
    return _results(graph, out)


def _attends(
    graph: GraphBuilder,
    layer: Any,
    query: Ids,
    value: Ids,
    key: Ids,
    heads: np.ndarray,
    groups: np.ndarray,
    sizes: np.ndarray,
    values: np.ndarray,
    out: np.ndarray | None,
) -> None:
    """Projections of all that goes in, heads of queries compared with those of keys, and a projection of what is found.

    Args:
        graph: The graph.
        layer: The layer.
        query: What goes in as queries.
        value: What goes in as values.
        key: What goes in as keys.
        heads: The heads of queries.
        groups: Those of keys and values.
        sizes: The size of queries and keys.
        values: The size of values.
        out: The channels of the output; `None` where it has several axes.
    """
    parts = attention_parts(layer)
    _projected(graph, layer, parts.query_dense, query, heads, sizes, compared=True)
    _projected(graph, layer, parts.key_dense, key, groups, sizes, compared=True)
    _projected(graph, layer, parts.value_dense, value, groups, values)
    if parts.gate_dense is not None:
        _projected(graph, layer, parts.gate_dense, query, heads, values)
    dense, positions = parts.output_dense, graph.positions(query.shape)
    if out is None:
        rest = (None,) * (len(dense.kernel.shape) - 2)
        graph.kernel(layer, dense.kernel, heads, values, *rest, reads=(0, 1), positions=positions)
    else:
        graph.kernel(layer, dense.kernel, heads, values, out, reads=(0, 1), makes=(2,), positions=positions)
        graph.slices(layer, dense.bias, out, role="bias", makes=(0,))
    for variable in (parts.query_dense.kernel, parts.query_dense.bias):  # the layer divides by √d of its new d
        graph.scaled(variable, lambda count: sqrt(count(sizes) / sizes.size))
    for size in (sizes, values):  # q times k, then the weights times v, for every pair of positions
        graph.product(heads, graph.positions(query.shape), graph.positions(value.shape), size)


def _projected(
    graph: GraphBuilder, layer: Any, dense: Any, x: Ids, heads: np.ndarray, sizes: np.ndarray, compared: bool = False
) -> None:
    """A projection to heads. What is compared (q and k) must be silent where a size is removed, its bias included."""
    graph.pin_all(x, f"{layer.name!r} attends along that axis", but=(len(x.shape) - 1,))
    read = (2,) if compared else ()
    positions = graph.positions(x.shape)
    x = graph.on(x, -1)
    graph.kernel(layer, dense.kernel, x, heads, sizes, reads=(0, *read), makes=(1, 2), positions=positions)
    graph.slices(layer, dense.bias, heads, sizes, reads=(1,) if compared else (), makes=(0, 1), role="bias")


def _seen_by_head(
    graph: GraphBuilder, layer: Any, heads: np.ndarray, mask: Any, rank: int, scores_returned: bool
) -> None:
    """Heads stay where they are told apart outside of the layer: by a mask for each of them, or in the scores."""
    if isinstance(mask, Ids):
        graph.pin_all(mask, f"{layer.name!r} gets it as attention_mask")
    shape = mask.shape if isinstance(mask, Ids) else np.shape(mask)
    if len(shape) > rank:  # (batch, heads, queries, keys)
        graph.pin(heads, f"{layer.name!r} is given a mask for each of its heads")
    if scores_returned:
        graph.pin(heads, f"{layer.name!r} returns the scores of its heads")


def _results(graph: GraphBuilder, out: np.ndarray | None) -> list[Ids]:
    """The output, and the attention scores where they were asked for."""
    first, *scores = graph.call.outputs
    return [Ids(first, {} if out is None else {len(first) - 1: out}), *map(Ids, scores)]
