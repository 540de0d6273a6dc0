"""The optimizer's memory of a weight: momentum, second moments, averages, accumulated gradients."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune._keras import trained_variables


def slots(optimizer: keras.Optimizer, variable: Any) -> list[Any]:
    """Returns the variables of an optimizer that hold one number for each weight of a variable.

    Args:
        optimizer: A built optimizer, or a loss scaling one around it.
        variable: A trainable variable.
    """
    inner = unwrapped(optimizer)
    order = {id(each): index for index, each in enumerate(trained(optimizer))}
    index = order.get(id(variable))
    if index is None:
        return []
    # Optimizers keep one list per kind of slot, in the order of the variables; factored ones hold other shapes.
    lists = [each for each in vars(inner).values() if isinstance(each, list) and len(each) == len(order)]
    found = [each[index] for each in lists if isinstance(each[index], keras.Variable) and each[index] is not variable]
    return [slot for slot in found if tuple(slot.shape) == tuple(variable.shape)]


def trained(optimizer: keras.Optimizer) -> list[Any]:
    """Returns the variables that a built optimizer updates, in its order."""
    return trained_variables(unwrapped(optimizer))


def ensure_built(model: keras.Model) -> None:
    """Builds the optimizer of a model whose first fit has not begun yet."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def unwrapped(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Returns the optimizer that updates the weights: the inner one of loss scaling."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer


def accumulated(optimizer: keras.Optimizer) -> int:
    """Returns how many batches make one update of the weights."""
    return unwrapped(optimizer).gradient_accumulation_steps or 1
