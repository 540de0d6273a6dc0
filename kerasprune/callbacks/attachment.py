"""Putting regularizers on built variables, and taking them off again."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.regularizers import Sum, without


class Attachment:
    """What a callback has put on a model's variables.

    Keras reads a variable's regularizer while it traces the step, so a function traced before is thrown away
    whenever something is attached or detached: otherwise it would silently go on without, or with, it.

    Args:
        model: The model in training.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._put: list[tuple[Any, keras.regularizers.Regularizer]] = []

    def regularize(self, variable: Any, regularizer: keras.regularizers.Regularizer) -> None:
        """Adds a regularizer to a variable; one that is already there goes on acting."""
        own = variable.regularizer
        variable.regularizer = regularizer if own is None else Sum(own, regularizer)
        self._put.append((variable, regularizer))

    def trace(self) -> None:
        """Makes the training step anew, with what is attached."""
        self._model.test_function = None
        self._model.make_train_function(force=True)

    def detach(self) -> None:
        """Takes off what was put on, and nothing else. The next `fit` or `evaluate` traces anew."""
        for variable, regularizer in self._put:
            variable.regularizer = without(variable.regularizer, regularizer)
        self._put.clear()
        self._model.train_function = None
        self._model.test_function = None
