"""Putting regularizers and constraints on built variables, and taking them off again."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.regularizers import Sum


class Attachment:
    """What a callback has put on a model's variables.

    Keras reads a variable's regularizer and constraint while it traces the step, so a function traced before is thrown
    away whenever something is attached or detached: otherwise it would silently go on without, or with, them.

    Args:
        model: The model in training.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._before: list[tuple[Any, str, Any]] = []

    def regularize(self, variable: Any, regularizer: keras.regularizers.Regularizer) -> None:
        """Adds a regularizer to a variable; one that is already there goes on acting."""
        own = variable.regularizer
        self._set(variable, "regularizer", regularizer if own is None else Sum(own, regularizer))

    def trace(self) -> None:
        """Makes the training step anew, with what is attached."""
        self._model.test_function = None
        self._model.make_train_function(force=True)

    def detach(self) -> None:
        """Puts every variable back as it was. The next `fit` or `evaluate` traces anew."""
        for variable, name, value in reversed(self._before):
            setattr(variable, name, value)
        self._before.clear()
        self._model.train_function = None
        self._model.test_function = None

    def _set(self, variable: Any, name: str, value: Any) -> None:
        self._before.append((variable, name, getattr(variable, name)))
        setattr(variable, name, value)
