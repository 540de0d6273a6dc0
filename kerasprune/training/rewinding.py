"""Rewinding of an optimizer to an earlier step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasprune._keras import learning_rate_variable, moving_averages, raw_iterations, trained_variables
from kerasprune.surgery.compiled import fresh_optimizer
from kerasprune.training.jax_step import own_variables
from kerasprune.training.optimizer import ensure_built, inner_optimizer


def rewind_optimizer(model: keras.Model, step: int) -> None:
    """Sets the optimizer to an earlier step, with fresh slots and the learning-rate schedule at that step.

    A learning rate that is not a schedule of the optimizer is left unchanged.
    """
    ensure_built(model)
    optimizer = inner_optimizer(model.optimizer)
    fresh = fresh_optimizer(optimizer)
    fresh.build(model.trainable_variables)
    for variable, new in zip(_slots(optimizer), _slots(fresh), strict=True):
        variable.assign(ops.convert_to_tensor(new))
    if optimizer.use_ema:  # an average that began at zero would be wrong beyond step 0
        for average, variable in zip(moving_averages(optimizer), trained_variables(optimizer), strict=True):
            average.assign(variable)
    raw_iterations(optimizer).assign(step)


def _slots(optimizer: keras.Optimizer) -> list[Any]:
    """Returns the variables of an optimizer, except its step and its learning rate."""
    own = [raw_iterations(optimizer), learning_rate_variable(optimizer)]
    return [each for each in own_variables(optimizer.variables) if not any(each is one for one in own)]
