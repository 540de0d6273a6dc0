"""The variables of callbacks in a training step on JAX.

There a compiled step is a pure function: a variable that is not both an argument and a result is a constant of the
trace, and its assignments are lost. Keras passes weights, statistics and the optimizer's variables. Those of callbacks
are added: variables read by penalties to the statistics, variables read by constraints to the optimizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import added_optimizer_variables, added_statistics, raw_iterations
from kerasprune.training.in_step import StateVariable, state_variable
from kerasprune.training.optimizer import batches_per_update, inner_optimizer

_LOSS = "compute_loss_and_updates"  # the method of a model on JAX that a step differentiates


class JaxStep:
    """The variables of one callback that are passed through the step of a model.

    Args:
        model: The compiled model; its optimizer is built.
        in_loss: Variables that penalties read or assign.
        in_update: Variables that constraints read or assign.
    """

    def __init__(self, model: keras.Model, in_loss: Iterable[Any], in_update: Iterable[Any]) -> None:
        self._model = model
        if _LOSS not in vars(model):  # one for all callbacks: it adds a variable to the model
            vars(model)[_LOSS] = _Loss(model)
        self._loss = vars(model)[_LOSS]
        self._loss.users.append(self)
        self.steps = self._loss.steps  # number of updates of the weights, for penalties
        self._statistics = added_statistics(model, in_loss)
        inner = inner_optimizer(model.optimizer)
        around = [] if inner is model.optimizer else [model.optimizer]
        self._memory = added_optimizer_variables(inner, in_update, around)

    def detach(self) -> None:
        """Removes the variables from the model and its optimizer, after updating their values."""
        synchronise(self._model)
        self._statistics.remove()
        self._memory.remove()
        self._loss.users.remove(self)
        if not self._loss.users:
            self._loss.added.remove()
            del vars(self._model)[_LOSS]


class _Loss:
    """Wraps the method that computes the loss, to which alone Keras passes the step, and sets `steps` for penalties."""

    def __init__(self, model: keras.Model) -> None:
        self.users: list[JaxStep] = []
        self._model = model
        self._iterations = raw_iterations(inner_optimizer(model.optimizer))
        self.steps = state_variable(np.int32(0), "steps")
        self.added = added_statistics(model, [self.steps])

    def __call__(
        self, trainable: list[Any], statistics: list[Any], *rest: Any, optimizer_variables: Any = None, **more: Any
    ) -> Any:
        if optimizer_variables is not None:  # in `evaluate` there are none
            memory = zip(self._model.optimizer.variables, optimizer_variables, strict=True)
            now = next(value for variable, value in memory if variable is self._iterations)
            steps = ops.cast(now // batches_per_update(self._model.optimizer), "int32")
            variables = zip(self._model.non_trainable_variables, statistics, strict=True)
            statistics = [steps if variable is self.steps else value for variable, value in variables]
        method = getattr(type(self._model), _LOSS)
        return method(self._model, trainable, statistics, *rest, optimizer_variables=optimizer_variables, **more)


def synchronise(model: keras.Model) -> None:
    """Updates the variables of a model within an epoch on JAX; on other backends they always are up to date."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def own_variables(variables: Iterable[Any]) -> list[Any]:
    """Returns the variables of a model or an optimizer, without those added by callbacks."""
    return [variable for variable in variables if not isinstance(variable, StateVariable)]
