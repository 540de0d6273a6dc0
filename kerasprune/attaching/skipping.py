"""Reads the first batches of an epoch without training on them."""

from __future__ import annotations

from typing import Any

import keras


class Skipping:
    """Takes the place of a model's train function until a number of batches has been read.

    Put there after Keras has made the train function and before the first step; a fit that is broken off meanwhile
    leaves it behind, and the next one, which reads from another iterator, puts the train function back.

    Args:
        model: The model, in `fit` on TensorFlow.
        batches: How many batches are read; a multiple of `steps_per_execution`.
    """

    def __init__(self, model: keras.Model, batches: int) -> None:
        self._model, self._left, self._iterator = model, batches, None
        self._train = model.train_function
        model.train_function = self

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Reads the batches of one execution, or trains on them where enough were read."""
        self._iterator = iterator if self._iterator is None else self._iterator
        if self._left <= 0 or iterator is not self._iterator:
            self._model.train_function = self._train
            return self._train(iterator)
        for _ in range(self._model.steps_per_execution):
            next(iterator)
        self._left -= self._model.steps_per_execution
        return {}
