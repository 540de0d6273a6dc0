"""Models in half precision: which type they compute in, and their twin in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from kerasprune.data.signature import is_graph
from kerasprune.errors import PruneError
from kerasprune.graph.graph import values
from kerasprune.graph.ranged_model import RangedModel
from kerasprune.surgery.clone import clone
from kerasprune.surgery.compute_dtype import HALF_TYPES, coarsest_type
from kerasprune.surgery.copy_layer import make_layer


def precision(model: keras.Model) -> str:
    """Returns the coarsest type a layer computes in: `"float32"`, `"float16"` or `"bfloat16"`."""
    return "float32" if isinstance(model, RangedModel) else coarsest_type(model)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy with the same weights that computes in float32; the model itself if it does already.

    TFLite has no convolution on float16 tensors, so a mixed-precision model does not convert as it is.

    Raises:
        PruneError: The model is subclassed and computes in half precision.
    """
    if precision(model) == "float32":
        return model
    if not is_graph(model):
        raise PruneError(
            "Expected a subclassed model in float32, since it cannot be copied into another precision. "
            f"Received: {model.name!r} in {model.dtype_policy.name}. "
            "Build it under the float32 policy and load the weights into it."
        )
    return clone(model, _widened, value=values)[0]


def _widened(layer: Any) -> Any:
    """Returns a new layer or operation like another that computes in float32, and all that is inside it."""
    if not isinstance(layer, keras.layers.Layer):
        return make_layer(layer)
    return make_layer(layer, dict.fromkeys(_half_types(layer.get_config()), "float32"))


def _half_types(config: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the places of a nested configuration that hold a half type."""
    if isinstance(config, dict):
        if _half_type(config):
            yield (*path, "dtype")
        for key, value in config.items():
            yield from _half_types(value, (*path, key)) if key != "dtype" else ()
    elif isinstance(config, list | tuple):
        for index, value in enumerate(config):
            yield from _half_types(value, (*path, index))


def _half_type(config: dict) -> str | None:
    """Returns the half type that a configuration's dtype, a string or a serialised policy, computes in."""
    match config.get("dtype"):
        case str(name) | {"class_name": "DTypePolicy", "config": {"name": str(name)}}:
            return next((half for half in HALF_TYPES if name in (half, f"mixed_{half}")), None)
    return None
