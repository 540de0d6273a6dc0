"""Whether a reconstruction is taken: only if it brings the outputs nearer to those of the dense model."""

from __future__ import annotations

import keras

from kerasprune.errors import warn
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport

NO_GAIN = (
    "Reconstruction has led away from the outputs of the dense model: the kernels stay as they were. Give more "
    "examples, or train."
)


def nearer(
    judge: Judge, slim: keras.Model, solved: keras.Model, before: StepReport | None = None
) -> tuple[keras.Model, StepReport | None]:
    """Returns the solved model and its report, unless its outputs are further from the dense model's.

    Args:
        judge: Judges both.
        slim: The model as removal left it.
        solved: What `kp.reconstruct` has made of it.
        before: The report of `slim`. Defaults to `None`: it is judged here.

    Returns:
        The solved model and its report; or `slim` and `None`, with a warning.
    """
    found = judge.step("reconstructed", solved)
    if not found.is_further_than(before or judge.step("removed", slim)):
        return solved, found
    warn(NO_GAIN)
    return slim, None
