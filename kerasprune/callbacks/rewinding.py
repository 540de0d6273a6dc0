"""The point in training to rewind to: weights, statistics and step as they were there."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kerasprune.callbacks.clock import unwrapped
from kerasprune.callbacks.slots import ensure_built, trained


def remembered(model: keras.Model) -> list[np.ndarray]:
    """Returns the values of all weights and statistics of a model."""
    return [ops.convert_to_numpy(variable) for variable in model.weights]


def rewind_weights(model: keras.Model, values: list[np.ndarray]) -> None:
    """Puts weights and statistics back."""
    for variable, value in zip(model.weights, values, strict=True):
        variable.assign(value)


def rewind_optimizer(model: keras.Model, step: int) -> None:
    """Makes the optimizer begin anew at a step: fresh slots, learning-rate schedule and step as they were there.

    A learning rate that is no schedule of the optimizer, but is set from outside, stays as it is.
    """
    ensure_built(model)
    optimizer = unwrapped(model.optimizer)
    fresh = type(optimizer).from_config(optimizer.get_config())
    fresh.build(model.trainable_variables)
    own = [optimizer._iterations, optimizer._learning_rate]
    for variable, new in zip(optimizer.variables, fresh.variables, strict=True):
        if not any(variable is each for each in own):
            variable.assign(ops.convert_to_tensor(new))
    if optimizer.use_ema:  # an average that began at zero would be wrong beyond step 0
        for average, variable in zip(optimizer._model_variables_moving_average, trained(optimizer), strict=True):
            average.assign(variable)
    optimizer._iterations.assign(step)
