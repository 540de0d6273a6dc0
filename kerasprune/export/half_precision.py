"""Models in half precision: which type they compute in, and their twin in float32."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.data.signature import is_graph
from kerasprune.errors import PruneError
from kerasprune.graph.ranged_model import RangedModel
from kerasprune.surgery.compute_dtype import HALF_TYPES, coarsest_type


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
    # A bare model has no compile settings, so its losses and metrics need not be known here.
    sequential = isinstance(model, keras.Sequential)
    bare = keras.Model(*((model.inputs[0], model.outputs[0]) if sequential else (model.input, model.output)))
    twin = keras.models.clone_model(
        bare, clone_function=lambda layer: type(layer).from_config(_widened(layer.get_config()))
    )
    twin.set_weights(bare.get_weights())
    return twin


def _widened(config: Any) -> Any:
    """Returns a nested configuration with every half type replaced by float32."""
    if isinstance(config, dict):
        wide = {key: _widened(value) for key, value in config.items()}
        return wide | {"dtype": "float32"} if _half_type(config) else wide
    if isinstance(config, (list, tuple)):
        return type(config)(_widened(value) for value in config)
    return config


def _half_type(config: dict) -> str | None:
    """Returns the half type that a configuration's dtype, a string or a serialised policy, computes in."""
    match config.get("dtype"):
        case str(name) | {"class_name": "DTypePolicy", "config": {"name": str(name)}}:
            return next((half for half in HALF_TYPES if name in (half, f"mixed_{half}")), None)
    return None
