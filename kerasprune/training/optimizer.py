"""The slots of an optimizer for a weight: momentum, second moments, averages, accumulated gradients."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune._keras import moving_averages, trained_variables
from kerasprune.surgery.compiled import inner_optimizer

_ADAPTIVE = (
    keras.optimizers.Adadelta,
    keras.optimizers.Adafactor,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,  # AdamW is one
    keras.optimizers.Adamax,
    keras.optimizers.Ftrl,
    keras.optimizers.Lamb,
    keras.optimizers.Lion,
    keras.optimizers.Muon,
    keras.optimizers.Nadam,
    keras.optimizers.RMSprop,
)


def slots(optimizer: keras.Optimizer, variable: Any) -> list[Any]:
    """Returns the variables of an optimizer with one number for each weight of a variable.

    Args:
        optimizer: A built optimizer, or a loss scaling one around it.
        variable: A trainable variable.
    """
    inner = inner_optimizer(optimizer)
    order = places(optimizer)
    index = order.get(id(variable))
    if index is None:
        return []
    # Optimizers keep one list per kind of slot, in the order of the variables; factored ones hold other shapes.
    lists = [each for each in vars(inner).values() if isinstance(each, list) and len(each) == len(order)]
    found = [each[index] for each in lists if isinstance(each[index], keras.Variable) and each[index] is not variable]
    return [slot for slot in found if tuple(slot.shape) == tuple(variable.shape)]


def memory(optimizer: keras.Optimizer, variable: Any) -> tuple[list[Any], list[Any]]:
    """Returns the slots of a built optimizer for a weight: those of its gradients, and averages of its values."""
    every, inner = slots(optimizer, variable), inner_optimizer(optimizer)
    averages = set(map(id, moving_averages(inner))) if inner.use_ema else set()
    return [each for each in every if id(each) not in averages], [each for each in every if id(each) in averages]


def places(optimizer: keras.Optimizer) -> dict[int, int]:
    """Returns `{id of a variable: its place in the update order of a built optimizer}`."""
    return {id(variable): index for index, variable in enumerate(trained_variables(inner_optimizer(optimizer)))}


def ensure_built(model: keras.Model) -> None:
    """Builds the optimizer of a model whose first fit has not begun yet."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def forget_steps(model: keras.Model) -> None:
    """Discards compiled steps, which hold the regularizers and constraints of their trace."""
    model.train_function = None
    model.test_function = None


def batches_per_update(optimizer: keras.Optimizer) -> int:
    """Returns the number of batches per update of the weights."""
    return inner_optimizer(optimizer).gradient_accumulation_steps or 1


def is_adaptive(optimizer: keras.Optimizer) -> bool:
    """Returns whether an optimizer divides gradients by their own size, or takes their sign."""
    return isinstance(inner_optimizer(optimizer), _ADAPTIVE)
