"""Fits that are interrupted, and the comparison with those that are not."""

from __future__ import annotations

import keras
import numpy as np


class Killed(BaseException):
    """What a kill looks like from within: nothing catches it."""


class Break(keras.callbacks.Callback):
    """Breaks a fit off after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        self.steps -= 1
        if not self.steps:
            raise KeyboardInterrupt


def assert_equal(model: keras.Model, weights: list[np.ndarray]) -> None:
    """Asserts the same weights, bit by bit."""
    for variable, expected in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected, err_msg=variable.path)
