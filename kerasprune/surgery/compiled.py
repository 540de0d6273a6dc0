"""Compiles a slim model like the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import keras
import numpy as np

from kerasprune._keras import (
    Functional,
    can_be_jitted,
    compile_arguments,
    deep_copy,
    excluded_from_decay,
    is_functional,
    is_of_keras,
    learning_rate_variable,
    optimizer_of_state,
    over_same_layers,
    structures,
    without_schedule,
)
from kerasprune.backend import devices
from kerasprune.errors import PruneError, first_of, warn
from kerasprune.graph.strided_pointwise import layers_at_risk
from kerasprune.surgery.custom_train_step import own_methods


def compile_like(slim: keras.Model, dense: keras.Model, **others: Any) -> None:
    """Compiles a model with the loss, metrics and options of another, and an optimizer of the same settings.

    Optimizer and metrics are new objects without state, also those of classes without `get_config`; the learning rate
    is the present one. The loss object and a schedule of the learning rate are shared.

    Args:
        slim: The model to compile, in place.
        dense: A compiled model.
        others: Arguments of `compile` that replace those of the dense model. Defaults to none.

    Raises:
        PruneError: The dense model is not compiled.
    """
    slim.compile(**safe_options(slim, {**fresh_arguments(dense), **others}))


def fresh_arguments(dense: keras.Model) -> dict[str, Any]:
    """Returns the arguments that a model is compiled with, with a new optimizer and new metrics; see `compile_like`."""
    arguments = compile_arguments(dense) if dense.compiled else None
    if not arguments:
        raise PruneError(
            f"Expected a compiled model with compile='same'. Received: {dense.name!r}, which is not compiled. "
            "Compile it, or leave compile= out and compile the slim model."
        )
    for name in ("optimizer", "metrics", "weighted_metrics"):
        arguments[name] = fresh(arguments[name])
    return arguments


def compiled_as(plain: keras.Model, trained: keras.Model) -> keras.Model:
    """Returns a model over the layers of another, compiled as the one that has trained them, with its optimizer.

    Args:
        plain: The model to save; returned as it is if the other is not compiled, or if it is of a class of its own.
        trained: The model that was fitted. If it holds trained variables in another order, the optimizer is a new one.
    """
    if not trained.compiled or type(plain) not in (keras.Sequential, Functional):
        return plain
    made = over_same_layers(plain)
    same = [id(v) for v in made.trainable_variables] == [id(v) for v in trained.trainable_variables]
    compile_like(made, trained, **({"optimizer": trained.optimizer} if same else {}))
    return made


def with_class_of(slim: keras.Model, dense: keras.Model) -> keras.Model:
    """Returns a slim model as one of the class of the dense model, if that trains, tests or predicts in its own way.

    The class is kept where `Class(inputs, outputs)` makes a model of it; otherwise a warning names what is lost.
    """
    lost = own_methods(dense)
    if not lost:
        return slim
    if is_functional(dense) and not isinstance(dense, keras.Sequential):
        with suppress(Exception):  # of a constructor that takes other arguments
            made = type(dense)(*structures(slim), name=slim.name)
            if is_functional(made) and len(made.weights) == len(slim.weights):
                return made
    warn(
        f"The slim model is not a {type(dense).__name__}, whose {', '.join(lost)} it loses: the class is not made by "
        f"{type(dense).__name__}(inputs, outputs). Make one of slim.inputs and slim.outputs, and compile it."
    )
    return slim


def safe_options(model: keras.Model, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of `compile` with `jit_compile=True`, if oneDNN's gradients could end the process.

    XLA computes the gradients itself. On a CPU Keras compiles with `jit_compile=False` unless asked, and does not
    record whether it was; so `False` is not kept. Of a model that XLA does not compile nothing is changed, and a
    warning names the layers.

    Args:
        model: The built model that is compiled.
        options: The arguments.
    """
    names = layers_at_risk(model) if devices.trains_by_onednn() else []
    if not names or options.get("jit_compile") is True:
        return dict(options)
    if can_be_jitted(model) and not options.get("run_eagerly"):
        return {**options, "jit_compile": True}
    warn(
        f"Training {model.name!r} may end Python: oneDNN's gradient of a 1×1 convolution with a stride is wrong with "
        f"fewer than 16 input channels, here of {first_of(names)}, and the model cannot be compiled by XLA, which "
        "avoids it. Keep 16 channels before these layers (round_to=16), or set TF_ENABLE_ONEDNN_OPTS=0."
    )
    return dict(options)


def fresh(thing: Any) -> Any:
    """Returns a new optimizer, or new metrics, without state; names, functions and `None` are returned as they are."""
    if isinstance(thing, dict):
        return {key: fresh(each) for key, each in thing.items()}
    if isinstance(thing, list | tuple):
        return [fresh(each) for each in thing]
    if isinstance(thing, keras.Metric):
        return _fresh_metric(thing)
    if not isinstance(thing, keras.Optimizer):
        return thing
    made = fresh_optimizer(thing)
    carry_exclusions(inner_optimizer(thing), inner_optimizer(made))
    return made


def _fresh_metric(old: keras.Metric) -> keras.Metric:
    """Returns a metric of the same settings; the metric itself, which `fit` resets, if it cannot even be copied."""
    made = _by_config(old)
    with suppress(Exception):  # a metric may be anyone's
        if made is None:
            made = deep_copy(old)
            made.reset_state()
    return old if made is None else made


def fresh_optimizer(old: keras.Optimizer, **settings: Any) -> keras.Optimizer:
    """Returns a new optimizer of the class and the settings of another, without its state.

    It is made by its config, with the schedule of the other, since schedules have no state; and from the settings of
    the object where the config lacks some of them.

    Args:
        old: The other optimizer.
        settings: Other settings, by their names in its config. Defaults to none; `learning_rate` to the present one.
    """
    if isinstance(old, keras.optimizers.LossScaleOptimizer):
        inner = fresh_optimizer(old.inner_optimizer, **settings)
        return type(old)(inner, old.initial_scale, old.dynamic_growth_steps, name=old.name)
    rate = learning_rate_variable(old)
    settings = ({"learning_rate": rate} if callable(rate) else {}) | settings
    with without_schedule(old):  # which may have no config
        made = _by_config(old, **settings)
        return optimizer_of_state(old, fresh, settings) if made is None else made


def writable(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Returns an optimizer that a file holds: with a constant rate, and a warning, for a schedule without a config."""
    inner = inner_optimizer(optimizer)
    schedule = learning_rate_variable(inner)
    if not callable(schedule):
        return optimizer
    try:
        keras.saving.serialize_keras_object(schedule)
    except Exception:  # noqa: BLE001, a schedule may be anyone's
        rate = first_rate(inner)
        warn(
            f"{type(schedule).__name__} has no get_config(), without which no file holds it: the slim model is "
            f"compiled with a learning rate of {rate:.3g}. Write its get_config(), or compile the slim model yourself."
        )
        return fresh_optimizer(optimizer, learning_rate=rate)
    return optimizer


def first_rate(optimizer: keras.Optimizer) -> float:
    """Returns the rate of an optimizer; the highest of its schedule, which is the first unless it warms up."""
    rate = learning_rate_variable(optimizer)
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return float(optimizer.learning_rate)
    steps = np.unique([0, *np.geomspace(1, 10**6, 61).astype(int)])
    rates = np.array([float(rate(keras.ops.convert_to_tensor(step, optimizer.iterations.dtype))) for step in steps])
    return float(rates[np.isfinite(rates)].max())


def _by_config(thing: Any, **settings: Any) -> Any:
    """Returns a new object from the config of another and other settings; `None` if it has none, or it lacks some."""
    with suppress(Exception):  # its class may be anyone's
        made = type(thing).from_config({**thing.get_config(), **settings})
        plain = {} if is_of_keras(type(thing)) else _plain_settings(thing)  # without get_config it has that of its base
        if all(name in settings or np.array_equal(vars(made).get(name), value) for name, value in plain.items()):
            return made
    return None


def _plain_settings(thing: Any) -> dict[str, Any]:
    """Returns the attributes of an object that are numbers, texts, or arrays or public lists of them."""
    plain = (type(None), bool, int, float, str, tuple, list, np.ndarray)
    found = {name: value for name, value in vars(thing).items() if isinstance(value, plain) and name != "built"}
    return {name: value for name, value in found.items() if not (name[0] == "_" and isinstance(value, list))}


def inner_optimizer(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Returns the optimizer that updates the weights: the inner one of loss scaling."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer


def carry_exclusions(old: keras.Optimizer, new: keras.Optimizer) -> None:
    """Excludes from weight decay in a new optimizer the names excluded in an old one; warns of excluded variables."""
    pattern, variables = excluded_from_decay(old)
    if pattern:
        new.exclude_from_weight_decay(var_names=[pattern])
    if variables:
        warn(
            f"{type(old).__name__} excludes {variables} variables from weight decay. The slim model has other "
            "variables: exclude them by name, exclude_from_weight_decay(var_names=[…])."
        )
