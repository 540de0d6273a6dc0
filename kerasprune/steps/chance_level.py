"""Warns if a trained model predicts the data that it is pruned on no better than by guessing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import as_numpy, batches_of
from kerasprune.data.examples import Examples
from kerasprune.errors import warn
from kerasprune.steps.judge import Judge
from kerasprune.steps.pixel_scale import SAMPLED
from kerasprune.steps.report import accuracy_of

ROUNDING = 1e-6  # of an accuracy in float32


def knows_little(found: str, remedy: str, name: str = "") -> str:
    """Returns the message that a model knows little of data.

    Args:
        found: What was measured.
        remedy: The remedy.
        name: The name of the data. Defaults to none.

    Example:
        >>> knows_little("its loss is nan", "Check the labels.", "mine.npz")
        "The model knows little of the data 'mine.npz': its loss is nan. Check the labels."
    """
    return f"The model knows little of the data{name and f' {name!r}'}: {found}. {remedy}"


def chance_level(logs: Mapping[str, float], targets: np.ndarray | None, option: str = "") -> tuple[str, str] | None:
    """Returns the measured accuracy in words and the remedy, if it is no better than guessing; else `None`.

    Guessing is always predicting the most frequent class.

    Args:
        logs: Loss and metrics of the dense model.
        targets: Labels of the examples, class indices or one-hot; of others, and of several outputs, `None`, only the
            loss is looked at.
        option: The option that scales pixels, after a space. Defaults to none.

    Example:
        >>> import numpy as np
        >>> chance_level({"loss": 1.1, "accuracy": 0.5}, np.array([0, 0, 1, 1]))[0]
        'it is right for 50% of them, and 50% are of one class'
        >>> [chance_level({"accuracy": a}, np.array(y)) for a, y in [(0.75, [0, 0, 1, 1]), (1.0, [1, 1])]]
        [None, None]
    """
    if not np.isfinite(logs.get("loss", 0.0)):
        return f"its loss is {logs['loss']}", f"Check the pixels' scale{option} and the labels."
    accuracy, frequent = accuracy_of(logs), None if targets is None else _most_frequent(targets)
    if accuracy is None or frequent is None or accuracy > min(frequent + ROUNDING, 1 - ROUNDING):
        return None
    remedy = f"Check the pixels' scale{option}, the order of the classes, and that it is the right data."
    return f"it is right for {accuracy:.0%} of them, and {frequent:.0%} are of one class", remedy


def warn_of_chance(judge: Judge, logs: Mapping[str, float]) -> None:
    """Warns if a dense model is no better than guessing.

    Args:
        judge: The judge with the dense model.
        logs: Its loss and metrics.
    """
    found = chance_level(logs, labels_of(judge.dense, judge.examples)) if logs else None
    if found is not None:
        warn(knows_little(*found))


def labels_of(model: keras.Model, examples: Examples) -> np.ndarray | None:
    """Returns the labels of arrays, or of the first batches of a data set.

    For a model of several outputs, and for batches of labels that differ in length, it is `None`.
    """
    if len(model.outputs) != 1:
        return None
    parts = [examples.data] if examples.arrays else islice(batches_of(examples.data), SAMPLED)
    found = [as_numpy(keras.tree.flatten(part[1])[0]) for part in parts]
    return np.concatenate(found) if len({labels.shape[1:] for labels in found}) == 1 else None


def _most_frequent(targets: np.ndarray) -> float | None:
    """Returns the share of the most frequent class, or `None` if the targets are not class indices."""
    if targets.ndim == 2 and targets.shape[1] > 1 and np.allclose(targets.sum(1), 1):
        targets = targets.argmax(1)
    if targets.reshape(len(targets), -1).shape[1] != 1:
        return None
    return np.unique(targets, return_counts=True)[1].max() / len(targets)
