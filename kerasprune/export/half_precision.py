"""Models in half precision, or double: which type they compute in, and their twin in float32."""

from __future__ import annotations

import keras

from kerasprune.data.signature import is_graph
from kerasprune.errors import PruneError
from kerasprune.graph.ranged_model import RangedModel
from kerasprune.surgery.compute_dtype import coarsest_type, computing_types, copied_in


def precision(model: keras.Model) -> str:
    """Returns the coarsest type a layer computes in: `"float32"`, `"float16"` or `"bfloat16"`."""
    return "float32" if isinstance(model, RangedModel) else coarsest_type(model)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy with the same weights that computes in float32; the model itself if it does already.

    TFLite has no convolution on float16 or float64 tensors, so models of these types do not convert as they are.

    Raises:
        PruneError: The model is subclassed and computes in another precision.
    """
    if isinstance(model, RangedModel) or computing_types(model) <= {"float32"}:
        return model
    if not is_graph(model):
        raise PruneError(
            "Expected a subclassed model in float32, since it cannot be copied into another precision. "
            f"Received: {model.name!r} in {model.dtype_policy.name}. "
            "Build it under the float32 policy and load the weights into it."
        )
    return copied_in(model, "float32")[0]
