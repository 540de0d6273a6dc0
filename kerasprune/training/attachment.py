"""Putting regularizers and constraints on built variables, and taking them off again."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.regularizers import Sum
from kerasprune.training.composite import joined, without
from kerasprune.training.constraints import Chain


class Attachment:
    """What a callback has put on a model's variables.

    Keras reads a variable's regularizer and constraint while it traces the step, so a function traced before is thrown
    away whenever something is attached or detached: otherwise it would silently go on without, or with, it.

    Args:
        model: The model in training.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._regularizers: list[tuple[Any, keras.regularizers.Regularizer]] = []
        self._constraints: list[tuple[Any, keras.constraints.Constraint]] = []

    def regularize(self, variable: Any, regularizer: keras.regularizers.Regularizer) -> None:
        """Adds a regularizer to a variable; one that is already there goes on acting."""
        variable.regularizer = joined(Sum, variable.regularizer, regularizer)
        self._regularizers.append((variable, regularizer))

    def constrain(self, variable: Any, constraint: keras.constraints.Constraint) -> None:
        """Adds a constraint to a variable, behind one that is already there."""
        variable.constraint = joined(Chain, variable.constraint, constraint)
        self._constraints.append((variable, constraint))

    def trace(self) -> None:
        """Makes the training step anew, with what is attached."""
        self._model.test_function = None
        self._model.make_train_function(force=True)

    def detach(self) -> None:
        """Takes off what was put on, and nothing else. The next `fit` or `evaluate` traces anew."""
        for variable, regularizer in self._regularizers:
            variable.regularizer = without(variable.regularizer, regularizer)
        for variable, constraint in self._constraints:
            variable.constraint = without(variable.constraint, constraint)
        self._regularizers.clear()
        self._constraints.clear()
        self._model.train_function = None
        self._model.test_function = None
