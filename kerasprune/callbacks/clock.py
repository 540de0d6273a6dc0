"""The number of training steps since a callback began, readable inside the compiled step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Clock:
    """Counts optimizer steps, not callback calls: right under `steps_per_execution`, gradient accumulation (a step is
    an update of the weights) and loss scaling (a step that is skipped for infinite gradients does not count).

    Args:
        optimizer: The model's optimizer.
    """

    def __init__(self, optimizer: keras.Optimizer) -> None:
        self._optimizer = unwrapped(optimizer)
        self._start = int(ops.convert_to_numpy(self._optimizer.iterations))

    def step(self) -> Any:
        """Returns the number of steps as a tensor."""
        return ops.cast(ops.convert_to_tensor(self._optimizer.iterations), "int32") - self._start

    def now(self) -> int:
        """Returns the number of steps as a Python number."""
        return int(ops.convert_to_numpy(self._optimizer.iterations)) - self._start


def unwrapped(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Returns the optimizer that updates the weights: the inner one of loss scaling."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer
