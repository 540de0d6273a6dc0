"""Compiles a slim model like the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import keras

from kerasprune._keras import can_be_jitted, compile_arguments, excluded_from_decay, is_functional, structures
from kerasprune.backend import onednn
from kerasprune.errors import PruneError, first_of, warn
from kerasprune.graph.strided_pointwise import layers_at_risk
from kerasprune.surgery.custom_train_step import own_methods


def compile_like(slim: keras.Model, dense: keras.Model, **others: Any) -> None:
    """Compiles a model with the loss, metrics and options of another, and an optimizer of the same settings.

    Optimizer and metrics are new objects without state; the learning rate is the present one. The loss object is
    shared.

    Args:
        slim: The model to compile, in place.
        dense: A compiled model.
        others: Arguments of `compile` that replace those of the dense model. Defaults to none.

    Raises:
        PruneError: The dense model is not compiled, or its optimizer or a metric cannot be recreated.
    """
    arguments = compile_arguments(dense) if dense.compiled else None
    if not arguments:
        raise PruneError(
            f"Expected a compiled model with compile='same'. Received: {dense.name!r}, which is not compiled. "
            "Compile it, or leave compile= out and compile the slim model."
        )
    for name in ("optimizer", "metrics", "weighted_metrics"):
        arguments[name] = fresh(arguments[name])
    slim.compile(**safe_options(slim, {**arguments, **others}))


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
    names = layers_at_risk(model) if onednn.trains_convolutions() else []
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
    """Recreates an optimizer or metrics from their configs; names, functions and `None` are returned as they are."""
    if isinstance(thing, dict):
        return {key: fresh(each) for key, each in thing.items()}
    if isinstance(thing, list | tuple):
        return [fresh(each) for each in thing]
    if not isinstance(thing, keras.Optimizer | keras.Metric):
        return thing
    try:
        made = type(thing).from_config(thing.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise PruneError(
            f"Expected an optimizer and metrics that can be recreated from their configs. Received: "
            f"{type(thing).__name__} ({error}). Write its get_config(), or compile the slim model yourself."
        ) from error
    if isinstance(thing, keras.Optimizer):
        carry_exclusions(inner_optimizer(thing), inner_optimizer(made))
    return made


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
