"""Rules for layers of KerasHub: norms by the root mean square, and attention with rotary positions.

Where a layer has a rule, its inner layers are not written out: query heads share those of keys, positions turn the
sizes of a head in pairs, and none of it has to be found out from single operations.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from typing import Any

import keras
import keras_hub  # noqa: F401  without it there is nothing to describe
import numpy as np

from kerasprune._keras import replaced_attributes
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, tensor_rule
from kerasprune.rules.norm import normalise_last_axis


def classes_of_hub(*paths: str) -> tuple[type, ...]:
    """Returns classes of some families, which are not public: those that this version of KerasHub has.

    Args:
        *paths: Their places below `keras_hub.src.models`.
    """
    found = []
    for module, _, name in (path.rpartition(".") for path in paths):
        with suppress(ImportError, AttributeError):
            found.append(getattr(import_module(f"keras_hub.src.models.{module}"), name))
    return tuple(found)


_NORMS = classes_of_hub(
    "gemma.rms_normalization.RMSNormalization",
    "gemma3.gemma3_layers.RMSNormalization",
    "llama.llama_layernorm.LlamaLayerNorm",
    "mistral.mistral_layer_norm.MistralLayerNormalization",
    "phi3.phi3_layernorm.Phi3LayerNorm",
    "qwen.qwen_layernorm.QwenLayerNorm",
    "qwen3.qwen3_layernorm.Qwen3LayerNorm",
    "roformer_v2.roformer_v2_attention.RoformerNorm",
    "t5.t5_layer_norm.T5LayerNorm",
)
_OF_HIDDEN_STATES = classes_of_hub(
    "llama.llama_attention.LlamaAttention",
    "mistral.mistral_attention.CachedMistralAttention",
    "phi3.phi3_attention.Phi3Attention",
    "qwen.qwen_attention.QwenAttention",
    "qwen3.qwen3_attention.Qwen3Attention",
)
_OF_X = classes_of_hub("gemma.gemma_attention.CachedGemmaAttention", "gemma3.gemma3_attention.CachedGemma3Attention")
_BESIDE = ("attention_mask", "cache", "cache_update_index", "cache_update_mask", "training")
_ABSENT = object()


@tensor_rule(*_NORMS, constant=SILENT)
def root_mean_square(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """Normalises by the root mean square over the channels of one position."""
    return normalise_last_axis(graph, layer, x, *layer.weights)


@tensor_rule(*_OF_HIDDEN_STATES, constant=SILENT, ignored=_BESIDE)
def rotary_attention(graph: GraphBuilder, layer: Any, hidden_states: Ids) -> Ids:
    """`softmax(rotated(q) rotated(k)ᵀ / √d) v`, head by head, then a projection.

    Several query heads share a key and value head, and go with it. All heads keep their sizes.
    """
    return _attention(graph, layer, hidden_states)


@tensor_rule(*_OF_X, constant=SILENT, ignored=_BESIDE)
def rotary_attention_of_gemma(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    """The same, with kernels whose first axis is of heads."""
    return _attention(graph, layer, x)


def _attention(graph: GraphBuilder, layer: Any, x: Ids) -> Ids:
    query, key, value, output = (
        getattr(layer, f"{name}_dense", None) or getattr(layer, f"_{name}_dense")
        for name in ("query", "key", "value", "output")
    )
    last, positions = len(x.shape) - 1, graph.positions(x.shape)
    graph.pin_all(x, f"{layer.name!r} attends along that axis", but=(last,))
    groups = graph.new(layer, _number_made(key, -2), "kv_heads")
    heads = np.repeat(groups, _number_made(query, -2) // groups.size)
    sizes = graph.new(layer, _number_made(key, -1), "head_dim")
    graph.pin(sizes, f"{layer.name!r} turns them in pairs, by the position")
    out = graph.new(layer, _number_made(output, -1))
    for dense, each in ((query, heads), (key, groups), (value, groups)):
        _einsum(graph, layer, dense, [graph.on(x, -1)], [each, sizes], positions)
        graph.slices(layer, dense.bias, each, sizes, makes=(0, 1), role="bias")
    _einsum(graph, layer, output, [heads, sizes], [out], positions)
    for name, ids in (("num_query_heads", heads), ("num_key_value_heads", groups)):
        graph.sets(layer, name, ids)
    for _ in ("scores", "sums"):  # q times k, then the weights times v, for every pair of positions
        graph.product(heads, positions, positions, sizes)
    return Ids(x.shape, {last: out})


def _letters(dense: keras.layers.EinsumDense) -> tuple[list[str], ...]:
    return tuple(map(list, re.split(",|->", dense.equation)))


def _number_made(dense: keras.layers.EinsumDense, axis: int) -> int:
    """Returns the length of an axis of the output, which the kernel makes."""
    _, kernel, target = _letters(dense)
    return dense.kernel.shape[kernel.index(target[axis])]


def _einsum(
    graph: GraphBuilder,
    layer: Any,
    dense: keras.layers.EinsumDense,
    read: Sequence[np.ndarray],
    made: Sequence[np.ndarray],
    positions: Any,
) -> None:
    """Describes a kernel that reads the last axes of its input and makes the last ones of its output."""
    source, kernel, target = _letters(dense)
    ids = dict(zip(source[-len(read) :], read, strict=True)) | dict(zip(target[-len(made) :], made, strict=True))
    makes = tuple(axis for axis, letter in enumerate(kernel) if letter in target)
    reads = tuple(axis for axis, letter in enumerate(kernel) if letter not in target)
    graph.kernel(layer, dense.kernel, *map(ids.get, kernel), reads=reads, makes=makes, positions=positions)


def whole_configs() -> AbstractContextManager[None]:
    """Lets the configs of these layers hold all that their constructors take in this block.

    Some of KerasHub's attention layers leave arguments out, or ask for attributes that are not there, and some norms
    have no config.
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

    norms = (each for each in _NORMS if each.get_config is keras.layers.Layer.get_config)
    return replaced_attributes(*((each, "get_config", get_config) for each in (*_OF_HIDDEN_STATES, *_OF_X, *norms)))
