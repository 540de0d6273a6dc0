"""Fresh symbolic inputs in the structure that a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import Functional, inner_functional, maker, structures
from kerasprune.errors import PruneError
from kerasprune.graph.walk import functional, nodes


def symbolic_inputs(model: keras.Model, given: Any) -> Any:
    """Returns fresh symbolic inputs in the structure that the model takes."""

    def fresh(x: Any, name: str | None = None) -> keras.KerasTensor:
        if isinstance(x, keras.KerasTensor):
            return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name or maker(x).name)
        array = np.asarray(x)
        return keras.Input(array.shape[1:], dtype=str(array.dtype), name=name)

    if isinstance(given, Mapping):
        return {name: fresh(x, name) for name, x in given.items()}
    if given is not None:
        return tree.map_structure(fresh, given)
    if isinstance(model, Functional) or isinstance(model, keras.Sequential) and inner_functional(model) is not None:
        taken = structures(functional(model))[0]
        return tree.map_structure(lambda x: fresh(_as_taken(model, x)), taken)
    shapes = (model.get_build_config() or {}) if model.built else {}
    shape = shapes.get("input_shape")
    if not shape or not isinstance(shape, list | tuple) or not all(s is None or isinstance(s, int) for s in shape):
        raise PruneError(
            f"Expected a model that was built on known inputs. Received: {model.name!r} of class "
            f"{type(model).__name__}. Call it on a batch first, or give one: kp.functional(model, inputs=batch)."
        )
    return keras.Input((*shape[1:],))


def _as_taken(model: keras.Model, x: keras.KerasTensor) -> keras.KerasTensor:
    """Returns an input with the sizes that a model inside the model was made for, and that are free outside."""
    for node in nodes(functional(model)) if None in x.shape[1:] else ():
        nested = node.operation
        if isinstance(nested, Functional) and len(nested.inputs) == 1 and node.input_tensors[0] is x:
            inner = _as_taken(nested, nested.inputs[0]).shape
            shape = [mine if mine is not None else other for mine, other in zip(x.shape, inner, strict=True)]
            return keras.Input(batch_shape=shape, dtype=x.dtype, name=maker(x).name)
    return x
