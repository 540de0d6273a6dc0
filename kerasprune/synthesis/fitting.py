"""Inputs fitted by gradient descent until their activations have the stored moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.backend.derivatives import gradient
from kerasprune.synthesis.noise import Levels
from kerasprune.synthesis.stored_moments import StoredMoments

_RATE = 0.1  # of Adam at the first step; it falls by half a cosine
_ENOUGH = 1e-3  # distance: that of real images is larger

Start = list["Levels | np.ndarray"]
"""For each input the levels of its noise, or an array that is not fitted."""


class InputFit:
    """Adam on the numbers of one batch: `min over x of the distance of its activations from the stored moments`.

    Args:
        stored: The stored moments.
        inputs: The draws of the inputs, with their noise; the others are constant.
        start: A batch, whose shapes count.
    """

    def __init__(self, stored: StoredMoments, inputs: Sequence[Any], start: Start) -> None:
        self._stored, self._inputs = stored, inputs
        self._levels = [
            [keras.Variable(np.zeros_like(level)) for level in part] if each.noise is not None else None
            for each, part in zip(inputs, start, strict=True)
        ]
        self._variables = [variable for levels in self._levels if levels for variable in levels]

        def distance(constants: list[Any]) -> Any:
            return stored.distance(stored.of(self._composed(iter(constants))))

        self._gradient = gradient(distance, self._variables, stored.body.variables)

    def _composed(self, constants: Any) -> list[Any]:
        """Returns the flat inputs; those that are not fitted come from an iterator."""
        return [
            next(constants) if levels is None else each.noise.compose([ops.convert_to_tensor(v) for v in levels])
            for each, levels in zip(self._inputs, self._levels, strict=True)
        ]

    def begin(self, start: Start, steps: int) -> None:
        """Sets the numbers, and makes a new optimizer.

        Args:
            start: A batch of the same shapes.
            steps: Number of steps, in which the rate falls to zero.
        """
        for levels, part in zip(self._levels, start, strict=True):
            for variable, level in zip(levels or (), part if levels else (), strict=True):
                variable.assign(level)
        self._constants = [part for levels, part in zip(self._levels, start, strict=True) if levels is None]
        self._optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, steps))
        self._optimizer.build(self._variables)

    def step(self) -> float:
        """Takes a step, and returns the distance before it."""
        distance, slopes = self._gradient(self._constants)
        self._optimizer.apply(slopes, self._variables)
        return float(distance)

    def fit(self, start: Start, steps: int) -> tuple[list[np.ndarray], list[float]]:
        """Fits a batch, and stops early if it is near enough.

        Args:
            start: The levels of the noise and the arrays that it starts from.
            steps: Largest number of steps.

        Returns:
            The flat inputs, and the distance before each step.
        """
        self.begin(start, steps)
        distances: list[float] = []
        while len(distances) < steps and (not distances or distances[-1] > _ENOUGH):
            distances.append(self.step())
        composed = self._composed(iter(self._constants))
        return [ops.convert_to_numpy(x) if ops.is_tensor(x) else x for x in composed], distances
