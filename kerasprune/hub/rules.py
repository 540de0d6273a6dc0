"""Rules for layers of KerasHub: norms by the root mean square, and attention with rotary positions.

Where a layer has a rule, its inner layers are not written out: query heads share those of keys, positions turn the
sizes of a head in pairs, and none of it has to be found out from single operations.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from typing import Any

import keras
import numpy as np

from kerasprune._keras import replaced_attributes
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, tensor_rule
from kerasprune.rules.attention import project
from kerasprune.rules.norm import normalise_last_axis


def _classes(*paths: str) -> tuple[type, ...]:
    """Returns the layers of some families that this version of KerasHub has, which are not public."""
    found = []
    for module, _, name in (path.rpartition(".") for path in paths):
        with suppress(ImportError, AttributeError):
            found.append(getattr(import_module(f"keras_hub.src.models.{module}"), name))
    return tuple(found)


_NORMS = _classes(
    "llama.llama_layernorm.LlamaLayerNorm",
    "mistral.mistral_layer_norm.MistralLayerNormalization",
    "phi3.phi3_layernorm.Phi3LayerNorm",
    "qwen.qwen_layernorm.QwenLayerNorm",
)
_NORMS_OF_HEADS = _classes("qwen3.qwen3_layernorm.Qwen3LayerNorm")
_ATTENTION = _classes(
    "llama.llama_attention.LlamaAttention",
    "mistral.mistral_attention.CachedMistralAttention",
    "qwen.qwen_attention.QwenAttention",
    "qwen3.qwen3_attention.Qwen3Attention",
)
_ABSENT = object()


@tensor_rule(*_NORMS, constant=SILENT)
def root_mean_square(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """Normalises by the root mean square over the channels of one position."""
    return normalise_last_axis(graph, layer, x, layer.scale)


@tensor_rule(*_NORMS_OF_HEADS, constant=SILENT)
def root_mean_square_of_qwen3(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """The same; within heads its sizes stay."""
    return normalise_last_axis(graph, layer, x, layer.scale)


@tensor_rule(
    *_ATTENTION,
    constant=SILENT,
    ignored=("attention_mask", "cache", "cache_update_index", "training"),
)
def rotary_attention(graph: GraphBuilder, layer: Any, hidden_states: Ids) -> Ids:
    """`softmax(rotated(q) rotated(k)ᵀ / √d) v`, head by head, then a projection.

    Several query heads share a key and value head, and go with it. All heads keep their sizes.
    """
    parts = [getattr(layer, f"_{name}_dense") for name in ("query", "key", "value", "output")]
    query, key, value, output = parts
    positions = graph.positions(hidden_states.shape)
    groups = graph.new(layer, key.kernel.shape[1], "kv_heads")
    heads = np.repeat(groups, query.kernel.shape[1] // groups.size)
    sizes = graph.new(layer, query.kernel.shape[2], "head_dim")
    graph.pin(sizes, f"{layer.name!r} turns them in pairs, by the position")
    out = graph.new(layer, output.kernel.shape[-1])
    for dense, each in ((query, heads), (key, groups), (value, groups)):
        project(graph, layer, dense, hidden_states, each, sizes)
    graph.kernel(layer, output.kernel, heads, sizes, out, reads=(0, 1), makes=(2,), positions=positions)
    for name, ids in (("num_query_heads", heads), ("num_key_value_heads", groups)):
        graph.sets(layer, name, ids)
    for _ in ("scores", "sums"):  # q times k, then the weights times v, for every pair of positions
        graph.product(heads, positions, positions, sizes)
    return Ids(hidden_states.shape, {len(hidden_states.shape) - 1: out})


def whole_configs() -> AbstractContextManager[None]:
    """Lets the configs of attention layers hold all that their constructors take in this block.

    Some of KerasHub's leave arguments out, or ask for attributes that are not there.
    """

    def get_config(layer: Any) -> dict[str, Any]:
        names = [name for name in inspect.signature(type(layer).__init__).parameters if name not in ("self", "kwargs")]
        found = {name: vars(layer).get(name, vars(layer).get(f"_{name}", _ABSENT)) for name in names}
        given = {name: value for name, value in found.items() if value is not _ABSENT}
        given |= {
            name: keras.initializers.serialize(value)
            for name, value in given.items()
            if isinstance(value, keras.initializers.Initializer)
        }
        return {**keras.layers.Layer.get_config(layer), **given}

    return replaced_attributes(*((each, "get_config", get_config) for each in _ATTENTION))
