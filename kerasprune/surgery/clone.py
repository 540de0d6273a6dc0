"""One way to copy a functional model call by call, with layers, constants and weights changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import declared_output_shape, maker, structures
from kerasprune.graph.walk import Dropped, functional, walk

Make = Callable[[Any], Any]
Change = Callable[[Any, int, Any], Any]
Value = Callable[[keras.Variable], np.ndarray]


def clone(
    model: keras.Model,
    make: Make,
    argument: Change,
    dropped: Dropped = Dropped(),  # noqa: B008
    value: Value | None = None,
    added: Mapping[int, np.ndarray] = MappingProxyType({}),
) -> tuple[keras.Model, dict[int, Any]]:
    """Copies a model.

    Args:
        model: A functional or Sequential model; it is left untouched.
        make: Returns the new layer or operation for an old one; called once for each.
        argument: `argument(node, index, value)` returns the value of a positional argument of a call.
        dropped: Parts that are left out. Defaults to none.
        value: `value(variable)` returns what the new layer has in place of an old one's variable. Defaults to fresh
            weights.
        added: Biases that old layers do not have, `{id(old layer): bias}`. Defaults to none.

    Returns:
        The copy, a functional model with the same inputs, outputs and name, and `{id(old layer): new layer}`.
    """
    made: dict[int, Any] = {}

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        operation = node.operation
        args = [argument(node, index, given) for index, given in enumerate(args)]
        if id(operation) in made:
            return made[id(operation)](*args, **kwargs)
        new = made[id(operation)] = make(operation)
        if value is None or not getattr(operation, "weights", ()):
            return new(*args, **kwargs)
        with _starting_from(operation, new, value, added.get(id(operation))):
            return new(*args, **kwargs)

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
        packed = [tree.pack_sequence_as(s, t) for s, t in zip(structures(body), (inputs, outputs), strict=True)]
        new = keras.Model(*packed, name=old.name)
        new.trainable = old.trainable
        return new

    return copy(model, functional(model).inputs), made


@contextmanager
def _starting_from(
    old: keras.layers.Layer, new: keras.layers.Layer, value: Value, bias: np.ndarray | None
) -> Iterator[None]:
    """Gives a new layer, which is built meanwhile, the weights of an old one, and a bias that the old one has not.

    Variables that the layer makes itself start with their values, which spares random numbers that would be
    overwritten; others, such as those of layers inside it, are assigned.
    """
    weights = old.weights
    names = [variable.name for variable in weights]
    waiting = {v.name: partial(value, v) for v in weights if names.count(v.name) == 1}
    if bias is not None:
        waiting["bias"] = lambda: bias
    add_weight = new.add_weight

    def starting(*args: Any, shape: Any = None, initializer: Any = None, name: str | None = None, **how: Any) -> Any:
        given = waiting[name]() if name in waiting else None
        if given is None or given.shape != tuple(shape or ()):
            return add_weight(*args, shape=shape, initializer=initializer, name=name, **how)
        waiting.pop(name)
        there.add(name)
        return add_weight(*args, shape=shape, initializer=lambda shape, dtype: given, name=name, **how)

    there: set[str] = set()
    vars(new)["add_weight"] = starting  # past the layer's tracking
    try:
        yield
    finally:
        del vars(new)["add_weight"]
    targets = [variable for variable in new.weights if bias is None or variable is not new.bias]
    for variable, target in zip(weights, targets, strict=True):
        if variable.name not in there:
            target.assign(value(variable))
    if bias is not None and "bias" not in there:
        new.bias.assign(bias)
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()  # it computes with numbers that it derives from its weights


def _told_apart(output: Any, inputs: list[Any], name: str) -> Any:
    """Returns an output of a model of which nothing is left: Keras cannot call a model whose output is its input."""
    return keras.layers.Identity(name=f"{name}_identity")(output) if any(output is x for x in inputs) else output


def make_layer(layer: Any, changes: Mapping[tuple[str, ...], Any]) -> Any:
    """Returns a new layer or operation with the same config but for `changes`, `{path of keys: value}`.

    Random initial weights would be overwritten at once, so they start from zero; the initializers are put back.
    """
    if isinstance(layer, keras.layers.Lambda):
        return _same_function(layer)
    config = _unbuilt(layer.get_config())
    quick = [key for key in config if key.endswith("_initializer") and key in vars(layer) and config[key] is not None]
    config.update(dict.fromkeys(quick, "zeros"))
    for path, value in changes.items():
        config = _with(config, path, value)
    new = type(layer).from_config(config)
    vars(new).update({key: vars(layer)[key] for key in quick})  # past the layer's tracking, which is slow
    return new


def _same_function(layer: keras.layers.Lambda) -> keras.layers.Lambda:
    """Returns a new Lambda of the same function, which Keras would rather not read from a config."""
    return keras.layers.Lambda(
        layer.function,
        output_shape=declared_output_shape(layer),
        mask=layer.mask,
        arguments=layer.arguments,
        name=layer.name,
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
    )


def _unbuilt(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a config in which no inner layer remembers the shape that it was built for."""
    return {
        key: _unbuilt(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key != "build_config"
    }


def _with(config: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Returns a config with one entry, however deep, replaced."""
    head, *rest = path
    return {**config, head: _with(config[head], tuple(rest), value) if rest else value}


def _input_like(tensor: keras.KerasTensor, fed: keras.KerasTensor) -> keras.KerasTensor:
    """Returns a new input with the name of an old one, and its sizes, where those are fixed, of what is fed to it."""
    shape = [new if old is not None else None for old, new in zip(tensor.shape, fed.shape, strict=True)]
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=maker(tensor).name)
