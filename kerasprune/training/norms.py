"""Norms of what is pushed towards zero beside those of what stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from kerasprune.training.candidates import Unit


def relative_norm(units: Sequence[Unit], goes: Mapping[str, np.ndarray]) -> float:
    """Returns the mean |w| of what goes ÷ the mean |w| of what stays: the mean over units, by how much goes.

    Args:
        units: The units.
        goes: `{unit name: which entries go}`, boolean arrays of shape `(entries,)`.

    Returns:
        A number of 0 or more; `nan` where nothing goes, or nothing stays.
    """
    ratios, numbers = [], []
    for unit in units:
        gone, scores = goes[unit.name], ops.convert_to_numpy(unit.scores()).astype("float64")
        if not gone.any() or gone.all():
            continue
        stays = scores[~gone].mean()
        ratios.append(scores[gone].mean() / stays if stays else float(scores[gone].any()))
        numbers.append(gone.sum())
    return float(np.average(ratios, weights=numbers)) if ratios else float("nan")


def squares(unit: Unit) -> np.ndarray:
    """Returns the sum of the squared weights of every entry of a unit."""
    parts = [ops.convert_to_numpy(part.scores(unit.size, ops.square)).astype("float64") for part in unit.parts]
    return np.sum(parts, axis=0)
