"""BatchNorm statistics of what really comes in, taken so that the model computes the same."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.data.example_batches import Batches
from kerasprune.graph.values import values
from kerasprune.reconstruction.batch_statistics import Averages, run, trainable_norms

_LEAST = 100  # numbers of a channel that its variance is taken from


def take_own_statistics(model: keras.Model, examples: Batches) -> None:
    """Gives every BatchNorm the statistics of what comes in; its scale and shift take up the difference.

    With μ and σ² before, μ′ and σ′² of the examples, the model computes in inference what it did:

        γ′ = γ·√(σ′² + ε) / √(σ² + ε),    β′ = β + γ·(μ′ − μ) / √(σ² + ε)

    In training a BatchNorm divides by the statistics of the batch. Where those that are stored are others, as after
    least squares, whose outputs vary less than their targets, training would begin with another model.

    Args:
        model: Changed in place. Layers that are not trainable, lack a scale or a shift, or see fewer than a hundred
            numbers of a channel stay as they are.
        examples: Batches of flat inputs.
    """
    norms = [each for each in trainable_norms(model) if _can_compensate(each)]
    if not norms:
        return
    twins = {norm: layers.BatchNormalization.from_config(norm.get_config()) for norm in norms}
    averages, numbers = Averages(twins.values()), dict.fromkeys(norms, 0)

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if layer in twins:
            shape = tuple(args[0].shape)
            numbers[layer] += int(np.prod(shape)) // shape[layer.axis]
            averages.take(twins[layer], call, args, kwargs)
        return call(layer, *args, **kwargs)

    run(model, examples, visit)
    for norm, twin in twins.items():
        if numbers[norm] >= _LEAST:
            _take_over(norm, values(twin.moving_mean), values(twin.moving_variance))


def _can_compensate(norm: layers.BatchNormalization) -> bool:
    """Says whether a layer computes what Keras's does, with a scale and a shift."""
    return type(norm) is layers.BatchNormalization and norm.scale and norm.center


def _take_over(norm: layers.BatchNormalization, mean: np.ndarray, variance: np.ndarray) -> None:
    parts = norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance
    gamma, beta, old_mean, old_variance = (values(each).astype("float64") for each in parts)
    slope = gamma / np.sqrt(old_variance + norm.epsilon)
    norm.gamma.assign(slope * np.sqrt(variance.astype("float64") + norm.epsilon))
    norm.beta.assign(beta + slope * (mean - old_mean))
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(variance)
