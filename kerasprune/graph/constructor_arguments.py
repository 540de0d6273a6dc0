"""Constructor arguments of layers and operations: which do not matter to channels, and which a rule does not read."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from functools import cache
from typing import Any

import numpy as np

_GEOMETRY = frozenset({
    "autocast", "bounding_box_format", "crop_to_aspect_ratio", "data_format", "dilation_rate", "dtype", "fill_mode",
    "interpolation", "kernel_size", "name", "output_padding", "pad_to_aspect_ratio", "padding", "pool_dimensions",
    "pool_mode", "pool_size", "rank", "strides", "trainable",
})  # fmt: skip
"""Of space, or of the layer as a whole."""
_NUMBERS = frozenset({
    "alpha", "antialias", "approximate", "attn_logits_soft_cap", "b", "center", "decimals", "default_value",
    "drop_path_rate", "dropout", "epsilon", "fill_value", "flash_attention", "go_backwards",
    "gptq_unpacked_column_size", "init_values", "initial", "input_dim", "is_causal", "l1", "l2", "lora_alpha",
    "lora_rank", "mask_zero", "max_value", "momentum", "negative_slope", "offset", "quantization_config", "rate",
    "recurrent_dropout", "reset_after", "return_sequences", "return_state", "scale", "seed", "sliding_window",
    "stateful", "stddev", "synchronized", "threshold", "unit_forget_bias", "unroll", "use_bias", "use_cudnn",
    "use_gate", "x_max", "x_min", "zero_output_for_mask",
})  # fmt: skip
"""One number, flag or option for all channels; an array in its place may hold one for every channel."""
_ABSENT = object()


def unread(operation: Any, read: Collection[str]) -> list[str]:
    """Returns the constructor arguments that a rule does not read and that have another value than their default.

    Args:
        operation: A layer or operation.
        read: Names of the arguments that its rule reads.

    Example:
        >>> import keras
        >>> unread(keras.layers.BatchNormalization(momentum=0.5), ["axis"])
        []
        >>> unread(keras.layers.BatchNormalization(axis=1), [])
        ['axis']
    """
    arguments_of = _arguments(type(operation))
    return [name for name, default in arguments_of if name not in read and _differs(operation, name, default)]


def _differs(operation: Any, name: str, default: Any) -> bool:
    value = getattr(operation, name, _ABSENT)
    if name in _NUMBERS:
        return value is not _ABSENT and np.size(value) > 1
    if value is _ABSENT or default is inspect.Parameter.empty:
        return True
    return bool(np.any(np.asarray(value != default)))


@cache
def arguments(kind: type) -> dict[str, Any]:
    """Returns `{name: default}` of the constructor's arguments of a class and its bases."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        for each in inspect.signature(base.__init__).parameters.values():
            if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL) and each.name != "self":
                found.setdefault(each.name, each.default)
    return found


@cache
def _arguments(kind: type) -> list[tuple[str, Any]]:
    """Returns `(name, default)` of those that may matter to channels."""
    return [
        (name, default)
        for name, default in arguments(kind).items()
        if name not in _GEOMETRY and not name.endswith(("_initializer", "_regularizer", "_constraint"))
    ]
