"""Gradients that a callback changes before the optimizer sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerasprune._keras import trained_variables

Change = Callable[[Any], Any]
"""Returns the gradient that takes the place of one. Called inside the compiled step."""


class ChangedGradients:
    """Stands in for `optimizer.apply`, a public method through which every step of Keras goes, on all backends.

    Args:
        optimizer: The optimizer that updates the weights, without loss scaling around it.
    """

    def __init__(self, optimizer: keras.Optimizer) -> None:
        self._optimizer, self._apply = optimizer, optimizer.apply
        self.changes: list[tuple[Any, Change]] = []

    def __call__(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        variables = trained_variables(self._optimizer) if trainable_variables is None else trainable_variables
        changed = list(grads)
        for variable, change in self.changes:
            for place, each in enumerate(variables):
                if each is variable and changed[place] is not None:
                    changed[place] = change(changed[place])
        return self._apply(changed, trainable_variables)


def change_gradient(optimizer: keras.Optimizer, variable: Any, change: Change) -> Callable[[], None]:
    """Changes the gradient of a variable in every step, and returns the function that ends it."""
    if not isinstance(vars(optimizer).get("apply"), ChangedGradients):  # one for all callbacks, whichever ends first
        vars(optimizer)["apply"] = ChangedGradients(optimizer)
    every, mine = vars(optimizer)["apply"].changes, (variable, change)
    every.append(mine)

    def end() -> None:
        every[:] = [each for each in every if each is not mine]
        if not every:
            vars(optimizer).pop("apply", None)

    return end
