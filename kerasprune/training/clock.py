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
        self.start = int(ops.convert_to_numpy(self._optimizer.iterations))

    def step(self) -> Any:
        """Returns the number of steps as a tensor."""
        return ops.cast(ops.convert_to_tensor(self._optimizer.iterations), "int32") - self.start

    def after_update(self) -> Any:
        """Returns, inside a constraint, the number of steps with the one that has just been taken.

        Keras applies constraints after the update of the weights and before it counts it; while gradients are
        accumulated nothing is counted until the update.
        """
        raw = ops.cast(ops.convert_to_tensor(self._optimizer._iterations), "int32") + 1
        return raw // accumulated(self._optimizer) - self.start

    def now(self) -> int:
        """Returns the number of steps as a Python number."""
        return int(ops.convert_to_numpy(self._optimizer.iterations)) - self.start


def unwrapped(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Returns the optimizer that updates the weights: the inner one of loss scaling."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer


def accumulated(optimizer: keras.Optimizer) -> int:
    """Returns how many batches make one update of the weights."""
    return unwrapped(optimizer).gradient_accumulation_steps or 1
