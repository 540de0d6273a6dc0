"""Inputs fitted by gradient descent until their activations have the stored moments."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kerasprune.backend.derivatives import gradient
from kerasprune.synthesis.stored_moments import StoredMoments
from kerasprune.synthesis.value_range import ValueRange

_RATE = 0.1  # of Adam, in units of the deviation of the noise
_PATIENCE = 20  # steps
_GAIN = 0.02  # by which the distance falls at least in so many steps


class InputFit:
    """Adam on the numbers of one batch: `min over x of the distance of its activations from the stored moments`.

    Args:
        stored: The stored moments.
        ranges: The range of each input.
        shapes: Shape of the batch of each input, the number of examples first.
    """

    def __init__(self, stored: StoredMoments, ranges: Sequence[ValueRange], shapes: Sequence[Sequence[int]]) -> None:
        self._stored, self._ranges = stored, ranges
        self._units = [keras.Variable(np.zeros(shape, "float32")) for shape in shapes]

        def distance() -> object:
            pairs = zip(ranges, self._units, strict=True)
            return stored.distance(stored.of([ops.add(r.middle, ops.multiply(units, r.spread)) for r, units in pairs]))

        self._gradient = gradient(distance, self._units, stored.body.variables)

    def start(self, inputs: Sequence[np.ndarray]) -> None:
        """Sets the numbers and makes a new optimizer."""
        for units, r, x in zip(self._units, self._ranges, inputs, strict=True):
            units.assign((x - r.middle) / r.spread)
        self._optimizer = keras.optimizers.Adam(_RATE)
        self._optimizer.build(self._units)

    def step(self) -> float:
        """Takes a step, stays in the range, and returns the distance before it."""
        distance, slopes = self._gradient()
        self._optimizer.apply(slopes, self._units)
        for units, r in zip(self._units, self._ranges, strict=True):
            units.assign(ops.clip(units, (r.low - r.middle) / r.spread, (r.high - r.middle) / r.spread))
        return float(distance)

    def fit(self, inputs: Sequence[np.ndarray], steps: int) -> tuple[list[np.ndarray], list[float]]:
        """Fits a batch, and stops early if the distance has hardly fallen.

        Args:
            inputs: The start, one array for each input.
            steps: Largest number of steps.

        Returns:
            The fitted inputs, and the distance before each step.
        """
        self.start(inputs)
        distances: list[float] = []
        for _ in range(steps):
            distances.append(self.step())
            if len(distances) > _PATIENCE and distances[-1] > (1 - _GAIN) * distances[-1 - _PATIENCE]:
                break
        return self.inputs(), distances

    def inputs(self) -> list[np.ndarray]:
        """Returns the present inputs."""
        pairs = zip(self._ranges, self._units, strict=True)
        return [np.asarray(r.middle + r.spread * ops.convert_to_numpy(units), "float32") for r, units in pairs]
