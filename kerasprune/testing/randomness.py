"""Random weights, statistics and plans, without the trivial values of fresh models."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import keras
import numpy as np

from kerasprune._keras import call_operation, in_inference
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.plans import Plan
from kerasprune.graph.walk import walk
from kerasprune.surgery.clone import copy_model
from kerasprune.surgery.random_inputs import random_inputs

_POSITIVE = ("gamma", "scale", "variance")


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Returns a copy of a model with random weights: kernels, biases, scales and moving statistics.

    Freshly initialised models hide bugs: all biases are 0 and all scales are 1, so many wrong slices go unnoticed.
    Moving statistics are drawn close to those of random inputs, so that signals survive many layers.

    Args:
        model: A functional or Sequential model; it is not changed.
        seed: Random seed. Defaults to 0.

    Returns:
        The copy, not compiled.

    Example:
        >>> import keras
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(inputs))
        >>> bool((keras.ops.abs(randomise(model).get_layer("logits").bias) > 0).numpy().all())
        True
    """
    copy = copy_model(model)
    randomise_weights(copy, seed)
    return copy


def randomise_weights(model: keras.Model, seed: int = 0) -> None:
    """Gives a model random weights, as `randomise` does a copy."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            variable.assign(_drawn(variable, generator))
    _settle_statistics(model, generator, seed)


def _settle_statistics(model: keras.Model, generator: np.random.Generator, seed: int) -> None:
    """Gives every BatchNorm moving statistics near those of its inputs."""

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        layer = node.operation
        if isinstance(layer, keras.layers.BatchNormalization):
            x = keras.ops.convert_to_numpy(args[0])
            others = tuple(axis for axis in range(x.ndim) if axis != layer.axis % x.ndim)
            mean, variance = x.mean(axis=others), x.var(axis=others)
            layer.moving_mean.assign(mean + 0.3 * np.sqrt(variance) * generator.normal(size=mean.shape))
            layer.moving_variance.assign((variance + 1e-3) * generator.uniform(0.5, 1.5, mean.shape))
        elif isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # computes the numbers that it derives from its weights
        return call_operation(layer, *args, **in_inference(layer, kwargs))

    batch = keras.tree.flatten(random_inputs(model, 8, seed))
    walk(body_of(model), [keras.ops.convert_to_tensor(x) for x in batch], visit)


def _drawn(variable: Any, generator: np.random.Generator) -> np.ndarray:
    """Returns values that keep a signal alive: kernels with variance `2 / fan_in`, scales about 1, the rest about 0."""
    shape, name = tuple(variable.shape), variable.name
    if any(word in name for word in _POSITIVE):
        return generator.uniform(0.5, 1.5, shape)
    if name.endswith("kernel") or "embedding" in name:
        fan = shape[:-2] if "depthwise" in name else shape[:-1]
        return generator.normal(0.0, sqrt(2 / max(prod(fan), 1)), shape)
    return generator.normal(0.0, 0.3, shape)


def random_plan(graph: ChannelGraph, seed: int = 0, low: float = 0.3, high: float = 0.7) -> Plan:
    """Returns a plan that keeps random channels of every prunable group.

    Args:
        graph: The graph of a model.
        seed: Random seed. Defaults to 0.
        low: Smallest fraction kept. Defaults to 0.3.
        high: Largest fraction kept. Defaults to 0.7.

    Returns:
        The plan, with the fingerprint of the model.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> hidden = keras.layers.Dense(10, name="hidden")(inputs)
        >>> graph = kp.trace(keras.Model(inputs, keras.layers.Dense(2)(hidden)))
        >>> len(random_plan(graph, low=0.5, high=0.5).keep["hidden"])
        5
    """
    generator = np.random.default_rng(seed)
    keep = {}
    for name, group in graph.prunable.items():
        number = int(np.clip(round(generator.uniform(low, high) * group.size), 1, group.size))
        keep[name] = np.sort(generator.permutation(group.size)[:number])
    keep = {name: kept.tolist() for name, kept in legal(graph, keep).items()}
    return Plan.of(graph, keep)
