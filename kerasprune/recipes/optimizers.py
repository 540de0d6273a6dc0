"""Optimisers and learning-rate schedules of recipes, which count in epochs."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasprune.recipes import learning
from kerasprune.steps.finetune import like


def optimizer(
    spec: learning.Optimizer, epochs: float, steps_per_epoch: int, compiled: keras.Optimizer | None = None
) -> keras.optimizers.Optimizer:
    """Returns a fresh Keras optimiser.

    Args:
        spec: The optimizer section of the recipe.
        epochs: Length of the stage, for schedules that span it.
        steps_per_epoch: Steps of one epoch.
        compiled: The optimizer that the checkpoint is compiled with. Defaults to `None`.
    """
    if isinstance(spec, learning.Compiled):
        rate = spec.learning_rate and learning_rate(spec.learning_rate, epochs, steps_per_epoch)
        return like(compiled, epochs, steps_per_epoch, rate)
    rate = learning_rate(spec.learning_rate, epochs, steps_per_epoch)
    made = type(keras.optimizers.get(spec.name))  # Keras finds its own by their lower-case names
    return made(rate, **spec.model_dump(exclude={"name", "learning_rate"}))


def learning_rate(
    spec: learning.LearningRate, epochs: float, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns a constant, or a Keras schedule in steps.

    Example:
        >>> from kerasprune.recipes import learning
        >>> steps = learning.MultiStep(name="multi_step", values={0: 0.01, 60: 0.001})
        >>> rate = learning_rate(steps, 120, 100)
        >>> [round(float(rate(step)), 6) for step in (0, 5_999, 6_000)]
        [0.01, 0.01, 0.001]
    """
    schedules = keras.optimizers.schedules
    if isinstance(spec, learning.Constant):
        return spec.value
    if isinstance(spec, learning.LinearRate):
        return schedules.PolynomialDecay(spec.start, max(1, round(epochs * steps_per_epoch)), spec.end)
    warmup = round(spec.warmup_epochs * steps_per_epoch)
    if isinstance(spec, learning.Exponential):
        every = max(1, round(spec.every * steps_per_epoch))
        falling = schedules.ExponentialDecay(spec.start, every, spec.factor, staircase=True)
        return WarmUp(falling, warmup) if warmup else falling
    if isinstance(spec, learning.Cosine):
        return schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else spec.start,
            decay_steps=max(1, round(epochs * steps_per_epoch) - warmup),
            alpha=spec.end / spec.start,
            warmup_target=spec.start if warmup else None,
            warmup_steps=warmup,
        )
    # Keras keeps a value up to and including its boundary, so the last step of an epoch is the boundary.
    boundaries = [round(epoch * steps_per_epoch) - 1 for epoch in list(spec.values)[1:]]
    values = list(spec.values.values())
    if not boundaries:  # Keras requires some
        return schedules.PolynomialDecay(0.0, warmup, values[0]) if warmup else values[0]
    steps = schedules.PiecewiseConstantDecay(boundaries, values)
    return WarmUp(steps, warmup) if warmup else steps


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule multiplied by a factor that rises linearly from 0 to 1.

    Args:
        schedule: The schedule.
        steps: Steps until the factor is 1.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> None:
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        factor = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        return factor * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {"schedule": self.schedule, "steps": self.steps}
