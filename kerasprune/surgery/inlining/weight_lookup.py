"""A layer's own weights as tensors: every position of an `Embedding` looked up.

Keras has no layer that outputs a weight. The table of an `Embedding`, at all its positions, is one: it is trained,
saved and loaded as any weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import keras
from keras import ops, tree

from kerasprune._keras import own_weights


def obstacle(layer: keras.layers.Layer) -> str | None:
    """Returns why the weights of a layer cannot be moved into an embedding; `None` if they can."""
    bound = [each.name for each in own_weights(layer) if getattr(each, "constraint", None) is not None]
    return f"has a weight with a constraint, {bound[0]!r}" if bound else None


def looked_up(layer: keras.layers.Layer, variable: keras.Variable, index: Any, name: str) -> tuple[Any, Any]:
    """Returns a new embedding with the values of a variable, and the variable as a tensor that it outputs.

    Args:
        layer: The layer that owns the variable.
        variable: The variable, of floating point.
        index: `index(n)` returns the numbers `0 … n − 1` as a symbolic tensor.
        name: Name of the new layer.
    """
    shape = tuple(variable.shape)
    rows = shape[0] if len(shape) > 1 else 1
    embedding = keras.layers.Embedding(
        rows,
        prod(shape[1:] if len(shape) > 1 else shape),
        embeddings_regularizer=variable.regularizer,
        trainable=variable.trainable,
        dtype=layer.dtype_policy,
        name=name,
    )
    table = embedding(index(rows))
    embedding.embeddings.assign(ops.reshape(variable.value, embedding.embeddings.shape))
    if len(shape) == 1:
        return embedding, ops.squeeze(table, 0)
    return embedding, table if table.shape == shape else ops.reshape(table, shape)


@contextmanager
def replace_variables(layer: keras.layers.Layer, tensor: Callable[[keras.Variable], Any]) -> Iterator[None]:
    """Replaces a layer's own variables by tensors, wherever its attributes hold them, within the block.

    Args:
        layer: The layer.
        tensor: `tensor(variable)` returns what stands for a variable.
    """
    mine = {id(variable) for variable in own_weights(layer)}

    def held(value: Any) -> bool:
        return any(id(each) in mine for each in tree.flatten(value))

    before = {
        name: value
        for name, value in vars(layer).items()
        if name not in ("_trainable_variables", "_non_trainable_variables")
        and isinstance(value, keras.Variable | list | tuple | dict)
        and held(value)
    }
    made = {
        name: tree.map_structure(lambda each: tensor(each) if id(each) in mine else each, _plain(value))
        for name, value in before.items()
    }
    vars(layer).update(made)
    try:
        yield
    finally:
        vars(layer).update(before)


def _plain(value: Any) -> Any:
    """Returns a list or dictionary of Keras, which keeps account of what is put into it, as one of Python."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
