"""Warns of pixels at another scale than that of the training, by the accuracy at each scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt

import numpy as np

from kerasprune.data.examples import Examples
from kerasprune.data.forms import as_numpy, is_array
from kerasprune.errors import warn
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import accuracy_of

SAMPLED = 10  # batches that are evaluated
GAIN = 0.1  # least gain in accuracy for another scale to be reported
ERRORS = 3  # least gain in standard errors

_AS_IS = "x"
_SCALES = {_AS_IS: lambda x: x, "x / 255": lambda x: x / 255, "x / 127.5 - 1": lambda x: x / 127.5 - 1}


def better_scale(accuracy: float, scales: Iterable[str], judged: Callable[[str], float]) -> tuple[str, float] | None:
    """Returns the scale of highest accuracy, and this accuracy, if it is clearly higher; else `None`.

    Args:
        accuracy: Accuracy at the present scale.
        scales: Other scales.
        judged: Returns the accuracy at a scale.

    Example:
        >>> better_scale(0.2, ["0..1", "-1..1"], {"0..1": 0.75, "-1..1": 0.5}.get)
        ('0..1', 0.75)
    """
    if accuracy > 1 - GAIN:
        return None
    reached, best = max(((judged(scale), scale) for scale in scales), default=(0.0, ""))
    return (best, reached) if reached >= accuracy + GAIN else None


def is_sure(one: float, other: float, number: int) -> bool:
    """Returns whether one accuracy exceeds another by three standard errors, `√(2 p (1 − p) / n)`.

    Args:
        one: The larger accuracy.
        other: The smaller accuracy; p is the mean of both.
        number: Number of examples, n.

    Example:
        >>> is_sure(0.73, 0.20, 180), is_sure(1.0, 0.5, 2)
        (True, False)
    """
    mean = (one + other) / 2
    return one - other >= ERRORS * sqrt(2 * mean * (1 - mean) / number)


def warn_of_scale(judge: Judge) -> None:
    """Warns if the accuracy of the dense model is clearly higher with uint8 pixels at another scale."""
    examples, dense = judge.examples, judge.dense
    if examples is None or not examples.arrays or not examples.labelled or not is_array(examples.inputs):
        return
    number = SAMPLED * examples.batch
    pixels, labels = as_numpy(examples.inputs[:number]), examples.labels
    if pixels.dtype != np.uint8 or not is_array(labels):
        return

    def judged(scale: str) -> float | None:
        scaled = Examples((_SCALES[scale](pixels.astype("float32")), labels[:number]), examples.batch)
        return accuracy_of(Judge(dense, judge.objective, scaled).metrics(dense))

    accuracy = judged(_AS_IS)
    better = None if accuracy is None else better_scale(accuracy, _SCALES.keys() - {_AS_IS}, judged)
    if better is not None and is_sure(better[1], accuracy, len(pixels)):
        warn(
            f"The model is right for {accuracy:.0%} of the examples with pixels x of 0 … 255, and for {better[1]:.0%} "
            f"with {better[0]}, which it was likely trained on. Scale the data like this."
        )
