"""The parts of Keras that a custom train step uses, read from its code before training."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import keras

from kerasprune._keras import is_of_keras
from kerasprune.errors import PruneError

_LOSSES = {"losses", "compute_loss", "_compute_loss", "compute_loss_and_updates", "train_step"}
_METHODS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")
_UPDATES = {"apply", "apply_gradients", "minimize", "stateless_apply", "train_step"}


def has_own_step(model: keras.Model) -> bool:
    """Returns whether a model has a custom `train_step`."""
    return _function(model.train_step) is not _function(keras.Model.train_step)


def own_methods(model: keras.Model) -> list[str]:
    """Returns the names of the methods of training, testing and predicting that the class of a model has for itself."""
    return [name for name in _METHODS if _function(getattr(model, name)) is not _function(getattr(keras.Model, name))]


def check_keras_step(model: keras.Model, remedy: str) -> None:
    """Raises if a model has a custom `train_step`, which a model made over its layers would not call."""
    if has_own_step(model):
        raise PruneError(
            f"Expected a model that Keras's own step trains. Received: {model.name!r} of {type(model).__name__}, whose "
            f"train_step would not be called. {remedy}"
        )


def asks_for_losses(model: keras.Model) -> bool:
    """Returns whether a train step names `losses`, `compute_loss` or the step of Keras; `True` for that of Keras.

    Read from the names in the code of the class and of the functions that it calls, so it may err; `unreached` measures
    it after the first epoch.
    """
    return not has_own_step(model) or bool(_LOSSES & _names(model))


def asks_for_updates(model: keras.Model) -> bool:
    """Returns whether a train step names `optimizer.apply` or a similar method; see `asks_for_losses`."""
    return not has_own_step(model) or bool(_UPDATES & _names(model))


def _function(method: Any) -> Any:
    return getattr(method, "__func__", method)


def _names(model: keras.Model) -> set[str]:
    """Returns the names in a custom train step and in the methods and functions that it calls."""
    own = {}
    for cls in reversed(type(model).__mro__):
        if not is_of_keras(cls):
            own |= {name: each for name, each in vars(cls).items() if isinstance(each, types.FunctionType)}
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [_function(model.train_step)]
    while waiting:
        function = waiting.pop()
        code = getattr(function, "__code__", None)
        if code is None or id(code) in seen:
            continue
        seen.add(id(code))
        names = set(_names_of(code))
        found |= names
        beside = {name: function.__globals__.get(name) for name in names}
        waiting += [each for each in beside.values() if isinstance(each, types.FunctionType)]
        waiting += [own[name] for name in names if name in own and name != "train_step"]
    return found


def _names_of(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_of(constant)
