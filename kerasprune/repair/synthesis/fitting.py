"""Inputs fitted by gradient descent until their activations have the stored moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.backend.derivatives import gradient
from kerasprune.repair.synthesis.noise import Levels
from kerasprune.repair.synthesis.stored_moments import Moments, StoredMoments

_RATE = 0.1  # of Adam at the first step; it falls by half a cosine
_ENOUGH = 1e-3  # distance: that of real images is larger

Start = list["Levels | np.ndarray"]
"""For each input the levels of its noise, or an array that is not fitted."""


class _Numbers:
    """The numbers of some examples as variables, and the gradient of the distance with respect to them.

    `moments of the batch = others + share · moments of these`

    Args: Those of `InputFit`.
    """

    def __init__(self, stored: StoredMoments, inputs: Sequence[Any], start: Start) -> None:
        self._stored, self._inputs = stored, inputs
        self._levels = [
            [keras.Variable(level) for level in part] if each.noise is not None else None
            for each, part in zip(inputs, start, strict=True)
        ]
        self.variables = [variable for levels in self._levels if levels for variable in levels]
        self.gradient = gradient(self._distance, self.variables, stored.body.variables)

    def composed(self, constants: Sequence[Any]) -> list[Any]:
        """Returns the flat inputs; those that are not fitted are given."""
        rest = iter(constants)
        return [
            next(rest) if levels is None else each.noise.compose([ops.convert_to_tensor(v) for v in levels])
            for each, levels in zip(self._inputs, self._levels, strict=True)
        ]

    def moments(self, constants: Sequence[Any], share: float) -> Moments:
        """Returns the share that these examples have in the moments of the batch."""
        found = self._stored.of(self.composed(constants))
        return [(share * mean, share * square) for mean, square in found]

    def _distance(self, constants: list[Any], others: Moments, share: float) -> Any:
        return self._stored.distance(_sum([others, self.moments(constants, share)]))


class InputFit:
    """Adam on the numbers of one batch: `min over x of the distance of its activations from the stored moments`.

    The activations of one part are in memory at a time. With several parts, the moments of the whole batch are taken
    first; then the gradient for each part is that of the whole batch, exactly, for a third more time.

    Args:
        stored: The stored moments.
        inputs: The draws of the inputs, with their noise; the others are constant.
        start: A batch, whose shapes count.
        parts: Number of parts. Defaults to 1.
    """

    def __init__(self, stored: StoredMoments, inputs: Sequence[Any], start: Start, parts: int = 1) -> None:
        self._stored, self._whole = stored, _Numbers(stored, inputs, start)
        self._size = self._whole.variables[0].shape[0]
        edges = np.linspace(0, self._size, parts + 1).round().astype(int).tolist()
        self._parts = [slice(*each) for each in zip(edges, edges[1:], strict=False)]
        self._held = {self._size: self._whole}  # numbers of one part, by its size
        for part in self._parts:
            size = part.stop - part.start
            if size not in self._held:
                self._held[size] = _Numbers(stored, inputs, _cut(start, part))

    def begin(self, start: Start, steps: int) -> None:
        """Sets the numbers, and makes a new optimizer.

        Args:
            start: A batch of the same shapes.
            steps: Number of steps, in which the rate falls to zero.
        """
        fitted = [level for part in start if isinstance(part, list) for level in part]
        for variable, level in zip(self._whole.variables, fitted, strict=True):
            variable.assign(level)
        self._constants = [part for part in start if not isinstance(part, list)]
        self._optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, steps))
        self._optimizer.build(self._whole.variables)

    def step(self) -> float:
        """Takes a step, and returns the distance before it."""
        distance, slopes = 0.0, []
        for part, others in zip(self._parts, self._others(), strict=True):
            numbers = self._loaded(part)
            distance, found = numbers.gradient(_cut(self._constants, part), others, self._share(part))
            slopes.append(found)
        whole = slopes[0] if len(slopes) == 1 else [ops.concatenate(each) for each in zip(*slopes, strict=True)]
        self._optimizer.apply(whole, self._whole.variables)
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
        composed = self._whole.composed(self._constants)
        return [ops.convert_to_numpy(x) if ops.is_tensor(x) else x for x in composed], distances

    def _others(self) -> list[Moments]:
        """Returns for each part the share that the others have in the moments of the batch."""
        if len(self._parts) == 1:
            return [self._stored.nothing]
        each = [self._loaded(part).moments(_cut(self._constants, part), self._share(part)) for part in self._parts]
        return [_sum(each[:i] + each[i + 1 :]) for i in range(len(each))]

    def _loaded(self, part: slice) -> _Numbers:
        """Returns the numbers of a part."""
        numbers = self._held[part.stop - part.start]
        if numbers is not self._whole:
            for variable, whole in zip(numbers.variables, self._whole.variables, strict=True):
                variable.assign(whole[part])
        return numbers

    def _share(self, part: slice) -> float:
        return (part.stop - part.start) / self._size


def _cut(arrays: Start, part: slice) -> Start:
    """Returns the examples of a part."""
    return [[level[part] for level in each] if isinstance(each, list) else each[part] for each in arrays]


def _sum(moments: Sequence[Moments]) -> Moments:
    """Returns the sum of moments, layer by layer."""
    return [tuple(sum(part) for part in zip(*layer, strict=True)) for layer in zip(*moments, strict=True)]
