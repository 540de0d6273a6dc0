"""One way to copy a functional model call by call, with layers, constants and weights changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import tree

from kerasprune.walking import Dropped, functional, walk

Make = Callable[[Any], Any]
Change = Callable[[Any, int, Any], Any]


def clone(
    model: keras.Model,
    make: Make,
    argument: Change,
    dropped: Dropped = Dropped(),  # noqa: B008
) -> tuple[keras.Model, dict[int, Any]]:
    """Copies a model.

    Args:
        model: A functional or Sequential model; it is left untouched.
        make: Returns the new layer or operation for an old one; called once for each.
        argument: `argument(node, index, value)` returns the value of a positional argument of a call.
        dropped: Parts that are left out. Defaults to none.

    Returns:
        The copy, a functional model with the same inputs, outputs and name, and `{id(old layer): new layer}`.
    """
    made: dict[int, Any] = {}

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        operation = node.operation
        if id(operation) not in made:
            made[id(operation)] = make(operation)
        args = [argument(node, index, value) for index, value in enumerate(args)]
        return made[id(operation)](*args, **kwargs)

    def enter(node: Any, *args: Any, **kwargs: Any) -> Any:
        nested = node.operation
        if id(nested) not in made:
            made[id(nested)] = copy(nested, tree.flatten((args, kwargs)))
        return made[id(nested)](*args, **kwargs)

    def copy(old: keras.Model, fed: list[Any]) -> keras.Model:
        body = functional(old)
        inputs = [_input_like(x, source) for x, source in zip(body.inputs, fed, strict=False)]
        outputs = walk(body, inputs, visit, enter, dropped)
        outputs = [_told_apart(y, inputs, old.name) if dropped.bypass else y for y in outputs]
        packed = [
            tree.pack_sequence_as(s, t) for s, t in ((body._inputs_struct, inputs), (body._outputs_struct, outputs))
        ]
        new = keras.Model(*packed, name=old.name)
        new.trainable = old.trainable
        return new

    return copy(model, functional(model).inputs), made


def _told_apart(output: Any, inputs: list[Any], name: str) -> Any:
    """Returns an output of a model of which nothing is left: Keras cannot call a model whose output is its input."""
    return keras.layers.Identity(name=f"{name}_identity")(output) if any(output is x for x in inputs) else output


def make_layer(layer: Any, changes: Mapping[tuple[str, ...], Any]) -> Any:
    """Returns a new layer or operation with the same config but for `changes`, `{path of keys: value}`.

    Random initial weights would be overwritten at once, so they start from zero; the initializers are put back.
    """
    config = _unbuilt(layer.get_config())
    quick = [key for key in config if key.endswith("_initializer") and key in vars(layer) and config[key] is not None]
    config.update(dict.fromkeys(quick, "zeros"))
    for path, value in changes.items():
        config = _with(config, path, value)
    new = type(layer).from_config(config)
    vars(new).update({key: vars(layer)[key] for key in quick})  # past the layer's tracking, which is slow
    return new


def _unbuilt(config: Any) -> Any:
    """Returns a config in which no inner layer remembers the shape that it was built for."""
    if isinstance(config, Mapping):
        return {key: _unbuilt(value) for key, value in config.items() if key != "build_config"}
    return config


def _with(config: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Returns a config with one entry, however deep, replaced."""
    head, *rest = path
    return {**config, head: _with(config[head], tuple(rest), value) if rest else value}


def _input_like(tensor: keras.KerasTensor, fed: keras.KerasTensor) -> keras.KerasTensor:
    """Returns a new input with the name of an old one, and its sizes, where those are fixed, of what is fed to it."""
    shape = [new if old is not None else None for old, new in zip(tensor.shape, fed.shape, strict=True)]
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name)
