"""The precision that a model computes in, and a copy in another, for numerics that its own is too coarse for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from kerasprune._keras import inner_layers
from kerasprune.backend.devices import device
from kerasprune.checks import choice_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import values
from kerasprune.graph.walk import is_model, pause_collection
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import layer_config, make_layer

PRECISIONS = ("float32", "float64")
_FLOATS = {"float16", "bfloat16", "float32", "float64"}
HALF_TYPES = ("bfloat16", "float16")  # the coarsest first


@pause_collection()
def in_precision(model: keras.Model, precision: str) -> tuple[keras.Model, dict[int, keras.Variable]]:
    """Returns a model that computes in at least the given precision, with the same weights: itself, or a copy.

    Args:
        model: A functional or Sequential model; it is left untouched.
        precision: `"float32"` or `"float64"`; the latter on TensorFlow only, for Keras itself computes in float32 on
            other backends.

    Returns:
        The model, and `{id(variable of the model): its variable there}`.

    Raises:
        PruneError: The precision is unknown, or Keras does not compute in it on this backend.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> double, variables = in_precision(model, "float64")
        >>> double(np.ones((1, 2))).dtype == "float64", len(variables)
        (True, 2)
    """
    raise_faults("The precision cannot be had:", choice_faults(PRECISIONS, precision=precision))
    if precision == "float64" and keras.backend.backend() != "tensorflow":
        raise PruneError(
            "Expected precision='float32': Keras computes in float32 at most on this backend. Received: "
            f"precision='float64' on {keras.backend.backend()!r}. Take TensorFlow, or float32."
        )
    if all(_computes_in(layer, precision) for layer in inner_layers(model) if layer is not model):
        return model, {id(variable): variable for variable in model.variables}
    return copied_in(model, precision)


def copied_in(model: keras.Model, precision: str) -> tuple[keras.Model, dict[int, keras.Variable]]:
    """Returns a copy that computes in a precision, as `in_precision` does; float64 inputs are of that type, too."""
    layers = [layer for layer in inner_layers(model) if layer is not model]
    how = {"value": lambda variable: values(variable).copy(), "types": {"float64": precision}}
    copy, made = clone(model, lambda layer: _made(layer, precision), **how)
    pairs = [(layer, made[id(layer)]) for layer in layers if id(layer) in made and not is_model(layer)]
    return copy, {id(o): n for old, new in pairs for o, n in zip(old.variables, new.variables, strict=True)}


def coarsest_type(model: keras.Model) -> str:
    """Returns the coarsest type that a layer computes in: `"float32"`, `"float16"` or `"bfloat16"`."""
    found = computing_types(model)
    return next((name for name in HALF_TYPES if name in found), "float32")


def computing_types(model: keras.Model) -> set[str]:
    """Returns the types of floats that the layers of a model compute in."""
    computing = (x for x in inner_layers(model) if not (is_model(x) or isinstance(x, keras.layers.InputLayer)))
    return {layer.compute_dtype for layer in computing} & _FLOATS


def rounding(*types: str) -> str:
    """Returns the part of a message that names precision and device, such as `"rounding in float32 on gpu:0"`."""
    return f"rounding in {' and '.join(dict.fromkeys(types))} on {device()}"


def _computes_in(layer: Any, precision: str) -> bool:
    """Returns whether a layer stores and computes floats in at least this precision."""
    policy = layer.dtype_policy
    return {policy.compute_dtype, policy.variable_dtype} & _FLOATS <= {precision, "float64"}


def _made(layer: Any, precision: str) -> Any:
    if not isinstance(layer, keras.layers.Layer) or not {layer.dtype_policy.variable_dtype} & _FLOATS:
        return make_layer(layer)
    return make_layer(layer, dict.fromkeys(_policies(layer_config(layer)), precision))


def _policies(config: Any) -> Iterator[tuple[str | int, ...]]:
    """Yields where in a config the precisions of a layer, and of layers inside it, stand."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        if key == "dtype":
            yield (key,)
        elif isinstance(value, dict | list | tuple):
            yield from ((key, *rest) for rest in _policies(value))
