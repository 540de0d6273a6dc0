"""A training that will be far beyond what a search allows, and is ended for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerasprune.steps.next_share import drop_to_expect
from kerasprune.steps.report import StepReport


class StopIfFar(keras.callbacks.Callback):
    """Ends a training that will be far beyond what is allowed, as its first epoch and earlier trainings say.

    Args:
        name: The figure, which is in the logs if it is a metric.
        dense: That of the dense model.
        scale: The difference from it that is a drop of one.
        far: The drop from which it ends.
        earlier: Drops of earlier trainings: the least by their first epoch, and of their best.
        steps: The steps of the pruning so far: at a large rate the first epoch is worse than none.
    """

    def __init__(
        self, name: str, dense: float, scale: float, far: float, earlier: Sequence[tuple[float, float]],
        steps: Sequence[StepReport],
    ) -> None:  # fmt: skip
        super().__init__()
        self._name, self._dense, self._scale, self._far = name, dense, scale, far
        self._earlier, self._steps = earlier, steps
        self.note, self.first = "", None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends the training."""
        found = (logs or {}).get(f"val_{self._name}")
        if epoch or found is None:
            return
        measured = [step.metrics[self._name] for step in self._steps[1:] if self._name in step.metrics]
        self.first = float(min((each - self._dense) / self._scale for each in (found, *measured)))
        if drop_to_expect(self.first, self._earlier) > self._far:
            self.note, self.model.stop_training = "stopped after an epoch, far beyond", True
