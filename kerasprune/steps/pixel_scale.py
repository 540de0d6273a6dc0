"""Warns of pixels at another scale than that of the training, by accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt

import numpy as np

from kerasprune.data.arrays_or_batches import as_numpy, is_array
from kerasprune.data.examples import Examples
from kerasprune.errors import warn
from kerasprune.repair.synthesis.scale_of_pixels import AS_IS, SCALES, are_bright, warn_of_statistics
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import accuracy_of

SAMPLED = 10  # batches that are evaluated
GAIN = 0.1  # least gain in accuracy for another scale to be reported
ERRORS = 3  # least gain in standard errors


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


def warn_of_scale(judge: Judge) -> bool:
    """Warns if pixels at another scale are clearly better: by the accuracy of the dense model, or by its statistics.

    Returns:
        Whether by the accuracy.
    """
    examples, dense = judge.examples, judge.dense
    if examples is None or not examples.arrays or not is_array(examples.inputs):
        return False
    number = SAMPLED * examples.batch
    pixels, labels = as_numpy(examples.inputs[:number]), examples.labels if examples.labelled else None
    if labels is None or not is_array(labels):
        warn_of_statistics(dense, pixels)
        return False
    if pixels.dtype != np.uint8 and not are_bright(pixels):
        return False

    def judged(scale: str) -> float | None:
        scaled = Examples((SCALES[scale](pixels.astype("float32")), labels[:number]), examples.batch)
        return accuracy_of(Judge(dense, judge.objective, scaled).metrics(dense))

    accuracy = judged(AS_IS)
    if accuracy is None:
        warn_of_statistics(dense, pixels)
        return False
    better = better_scale(accuracy, SCALES.keys() - {AS_IS}, judged)
    if better is None or not is_sure(better[1], accuracy, len(pixels)):
        return False
    warn(
        f"The model is right for {accuracy:.0%} of the examples with pixels x of 0 … 255, and for {better[1]:.0%} "
        f"with {better[0]}, which it was likely trained on. Bring the data to this scale."
    )
    return True
