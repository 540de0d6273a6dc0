"""Layers and operations recreated: from their config if that holds everything, else through the object."""

from __future__ import annotations

import inspect
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import cache
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import copied_operation, declared_output_shape, inner_layers, is_of_keras
from kerasprune.errors import PruneError
from kerasprune.graph.constructor_arguments import arguments
from kerasprune.graph.walk import is_model

_ROUND_TRIPS = ("keras.", "kerasprune.")
"""Packages whose functions and objects come back from a config as they were."""
_STAND_INS = {"_initializer": keras.initializers.Zeros(), "_regularizer": None, "_constraint": None}
ArrayChange = Callable[[str, np.ndarray], np.ndarray | None]
_PLAIN = (int, float, complex, str, bytes, np.ndarray, np.generic, types.FunctionType, types.NoneType)


def make_layer(
    layer: Any,
    changes: Mapping[tuple[str | int, ...], Any] = MappingProxyType({}),
    array: ArrayChange = lambda name, array: array,
) -> Any:
    """Returns a new layer or operation, as the old one but for `changes` of its config.

    What a config does not hold is taken from the object: functions that Keras cannot read back, constructor arguments
    that `get_config()` forgets, and, if no more than the precision is changed, plain attributes that were set from
    outside. Random initial weights would be overwritten at once, so they start from zero; the initializers are put
    back.

    Args:
        layer: A layer or operation.
        changes: `{path of keys and places in the config: value}`. Defaults to none.
        array: `array(name, array)` returns what becomes of an array in the initializer, regularizer or constraint of
            this name: another array, or `None`, which leaves that part out (an initializer draws then). Defaults to
            the same array.

    Raises:
        PruneError: The class of the layer cannot be made from its config.
    """
    if not isinstance(layer, keras.layers.Layer):
        return _operation(layer, changes)
    if isinstance(layer, keras.layers.Lambda):
        return _lambda(layer)
    functions = _unreadable(layer)
    config = _config_without(layer, functions)
    changed = {path[0] for path in changes}
    quick = [key for key in config if key.endswith("_initializer") and key in vars(layer) and key not in changed]
    quick = [key for key in quick if config[key] is not None]
    config.update(dict.fromkeys(quick, "zeros"))
    if is_of_keras(type(layer)) and type(layer.dtype_policy) is keras.DTypePolicy and "dtype" in config:
        config["dtype"] = layer.dtype_policy.name  # what Keras makes of it too, by way of a whole object
    for path, value in changes.items():
        config = _with(config, path, value, layer)
    new = _from_config(layer, config)
    vars(new).update({key: vars(layer)[key] for key in quick})  # past the layer's tracking, which is slow
    if functions:
        _put_back(layer, new, array)
    everything = all(path[-1] == "dtype" for path in changes)
    for name, value in _forgotten(layer, new, config, everything).items():
        setattr(new, name, value)
    copy_assets(layer, new)
    return new


def leave_out(name: str, array: np.ndarray) -> None:
    """Leaves out every part that holds an array: the `array` for `make_layer` where widths change freely."""


def layer_config(layer: keras.layers.Layer) -> dict[str, Any]:
    """Returns the config of a layer, with stand-ins for what Keras cannot read back, and for parts that hold arrays."""
    return _config_without(layer, _unreadable(layer))


def copy_assets(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Copies to a new layer the data that old ones keep in files, such as the vocabulary of a text layer.

    Args:
        old: The layer, with all that is inside it.
        new: One like it.
    """
    for before, after in zip(inner_layers(old), inner_layers(new), strict=False):
        if callable(getattr(before, "save_assets", None)) and not is_model(before):
            with tempfile.TemporaryDirectory() as folder:
                before.save_assets(folder)
                after.load_assets(folder)


def _operation(operation: Any, changes: Mapping[tuple[str | int, ...], Any]) -> Any:
    """Returns a new operation with some of its arguments changed; one without changes needs no config."""
    if not changes:
        return copied_operation(operation)
    return type(operation).from_config({**operation.get_config(), **{key: value for (key,), value in changes.items()}})


def _lambda(layer: keras.layers.Lambda) -> keras.layers.Lambda:
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


# ---- configs ------------------------------------------------------------------------------------------------


def _config_without(layer: keras.layers.Layer, functions: Sequence[tuple[Any, str, Any]]) -> dict[str, Any]:
    with _without(functions):
        config = _config(layer)
    return _unbuilt(config) if len(inner_layers(layer)) > 1 else dict(config)


def _config(layer: keras.layers.Layer) -> dict[str, Any]:
    try:
        return layer.get_config()
    except Exception as error:  # noqa: BLE001  the class may be the user's
        if is_of_keras(type(layer)):  # one that was given an object as its dtype, which Keras does not write down
            given = {name: vars(layer)[name] for name in arguments(type(layer)) if name in vars(layer)}
            return {**given, "name": layer.name, "dtype": layer.dtype_policy.name}
        raise PruneError(
            f"Expected a layer with a config, to recreate it. Received: {layer.name!r} of class "
            f"{type(layer).__name__}, whose get_config() fails: {error} Write get_config() so that it returns all "
            "arguments of the constructor."
        ) from error


def _from_config(layer: keras.layers.Layer, config: dict[str, Any]) -> Any:
    own = {type(each).__name__: type(each) for each in inner_layers(layer) if not is_of_keras(type(each))}
    unwanted = _unwanted(type(layer))
    try:
        with keras.saving.custom_object_scope(own) if own else nullcontext():
            new = type(layer).from_config({key: value for key, value in config.items() if key not in unwanted})
    except PruneError:
        raise
    except Exception as error:  # noqa: BLE001  the class may be the user's
        raise PruneError(
            f"Expected a layer that can be recreated from its config. Received: {layer.name!r} of class "
            f"{type(layer).__name__}: {error} "
            "Let get_config() return all arguments of the constructor, as the constructor takes them."
        ) from error

    if "name" in unwanted:
        new.name = layer.name
    if "dtype" in unwanted:
        new.dtype_policy = layer.dtype_policy
    return new


@cache
def _unwanted(kind: type) -> frozenset[str]:
    """Returns the keys that Keras puts into every config and the constructor of a class does not take."""
    parameters = inspect.signature(kind.__init__).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return frozenset()
    return frozenset({"name", "trainable", "dtype"} - parameters.keys())


def _unbuilt(config: Any) -> Any:
    """Returns a config in which no inner layer remembers the shape that it was built for."""
    if isinstance(config, list):
        return [_unbuilt(each) for each in config]
    if not isinstance(config, dict):
        return config
    return {key: _unbuilt(value) for key, value in config.items() if key != "build_config"}


def _with(config: Any, path: tuple[str | int, ...], value: Any, layer: Any) -> Any:
    """Returns a config with one entry, however deep, replaced."""
    head, *rest = path
    if isinstance(config, list):
        return [_with(each, tuple(rest), value, layer) if at == head else each for at, each in enumerate(config)]
    if head not in config:
        raise PruneError(
            f"Expected the config of {layer.name!r} of class {type(layer).__name__} to hold {head!r}, which follows "
            f"the channels. Received: {', '.join(config)}. Add it to get_config()."
        )
    return {**config, head: _with(config[head], tuple(rest), value, layer) if rest else value}


# ---- what a config does not hold ----------------------------------------------------------------------------


@contextmanager
def _without(functions: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Takes functions that Keras cannot read back, `(layer, name, function)`, off layers while the block runs."""
    for each, name, _ in functions:
        vars(each)[name] = _stand_in(name)
    try:
        yield
    finally:
        for each, name, function in functions:
            vars(each)[name] = function


def _put_back(old: Any, new: Any, array: ArrayChange) -> None:
    """Gives a new layer the functions of an old one that no config holds, inner layers included."""
    for name in _functions(old):
        vars(new)[name] = _with_arrays(vars(old)[name], name, array)
    for name, inner in vars(old).items():
        if isinstance(inner, keras.layers.Layer | list | tuple | dict):
            for before, after in zip(tree.flatten(inner), tree.flatten(vars(new).get(name)), strict=False):
                if isinstance(before, keras.layers.Layer) and isinstance(after, type(before)):
                    _put_back(before, after, array)


def _with_arrays(part: Any, name: str, array: ArrayChange) -> Any:
    """Returns an initializer, regularizer or constraint with the arrays that `array` gives it."""
    held = _arrays(part)
    given = {key: array(name, value) for key, value in held.items()}
    if all(given[key] is held[key] for key in held):
        return part
    if any(value is None for value in given.values()):
        return keras.initializers.GlorotUniform() if name.endswith("_initializer") else _stand_in(name)
    other = copy(part)
    vars(other).update(given)
    return other


def _arrays(part: Any) -> dict[str, np.ndarray]:
    """Returns the arrays that an initializer, regularizer or constraint holds, by attribute."""
    if isinstance(part, keras.layers.Layer | type | types.FunctionType) or not hasattr(part, "__dict__"):
        return {}
    held = {
        key: value for key, value in vars(part).items() if isinstance(value, np.ndarray | list) or _is_tensor(value)
    }
    return {key: np.asarray(value) for key, value in held.items() if np.ndim(value)}


def _stand_in(name: str) -> Any:
    """Returns the stand-in for the function of this name in a config."""
    return next((one for end, one in _STAND_INS.items() if name.endswith(end)), keras.activations.linear)


def _unreadable(layer: Any) -> list[tuple[Any, str, Any]]:
    """Returns `(layer, name, function)` of all `_functions` of a layer and of those inside it."""
    return [(each, name, vars(each)[name]) for each in inner_layers(layer) for name in _functions(each)]


def _functions(layer: Any) -> list[str]:
    """Returns the attributes of a layer that hold a constructor argument which Keras cannot read back, or an array."""
    return [
        name
        for argument in _argument_names(type(layer))
        for name in (argument, f"_{argument}")
        if callable(value := vars(layer).get(name)) and (not comes_back(value) or _arrays(value))
    ]


def comes_back(value: Any) -> bool:
    """Returns whether Keras restores a function or object from its config unchanged."""
    if isinstance(value, keras.layers.Layer | type):
        return True
    if isinstance(value, types.FunctionType):
        return any(value is each for each in _known())
    return type(value).__module__.startswith(_ROUND_TRIPS)


@cache
def _known() -> tuple[Any, ...]:
    """Returns the activations that Keras finds by their name."""
    return tuple(each for each in vars(keras.activations).values() if isinstance(each, types.FunctionType))


def _forgotten(old: Any, new: Any, config: Mapping[str, Any], everything: bool) -> dict[str, Any]:
    """Returns the plain attributes of a layer that its config did not hold.

    Args:
        old: The layer.
        new: The layer recreated from its config.
        config: The config.
        everything: Whether any attribute of a user's class counts, not only those named like an argument of the
            constructor.
    """
    names = [name for name in _argument_names(type(old)) if name in vars(old)]
    if everything and not is_of_keras(type(old)):
        names += [n for n, value in vars(old).items() if n not in _own_of_keras() and not isinstance(value, bool)]
    values = {name: vars(old)[name] for name in names if name not in config}
    return {
        name: value
        for name, value in values.items()
        if all(map(_is_plain, tree.flatten(value))) and not _equal(value, vars(new).get(name))
    }


def _is_plain(value: Any) -> bool:
    """Returns whether a value can be shared: a number, text, array or function, but no variable and no layer."""
    return isinstance(value, _PLAIN) or _is_tensor(value)


def _is_tensor(value: Any) -> bool:
    return keras.ops.is_tensor(value) and not isinstance(value, keras.Variable)


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    leaves = tree.flatten(one), tree.flatten(other)
    return len(leaves[0]) == len(leaves[1]) and all(
        a is b or bool(np.all(np.asarray(a == b))) for a, b in zip(*leaves, strict=True)
    )


@cache
def _own_of_keras() -> frozenset[str]:
    """Returns the names of the attributes that every layer has, built or not."""
    layer = keras.layers.Dense(1)
    layer.build((None, 1))
    return frozenset(vars(layer))


@cache
def _argument_names(kind: type) -> tuple[str, ...]:
    """Returns the names of the constructor's arguments of a class and its bases, which may be attributes too."""
    return tuple(name for name in arguments(kind) if name not in ("name", "dtype"))
