"""Masks of the highest scores among all weights of a network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kerasprune.criteria.base import top
from kerasprune.errors import PruneError

Arrays = Mapping[str, np.ndarray]


def highest(saliency: Arrays, number: int, masks: Arrays | None = None) -> dict[str, np.ndarray]:
    """Returns masks of exactly `number` highest scores; ties keep the lower index.

    Args:
        saliency: `{variable path: scores}`.
        number: Number of weights kept, at least 1.
        masks: Weights still kept; others are not candidates. Defaults to all.

    Raises:
        PruneError: Scores of candidates are not finite, or there are none.

    Example:
        >>> import numpy as np
        >>> highest({"a": np.array([1.0, 3.0]), "b": np.array([3.0])}, number=1)
        {'a': array([False,  True]), 'b': array([False])}
    """
    line = join_scores(saliency, masks)
    left = np.flatnonzero(line > -np.inf)
    kept = np.zeros(line.size, bool)
    kept[left[top(line[left], number)]] = True
    edges = np.cumsum([np.size(array) for array in saliency.values()])[:-1]
    parts = np.split(kept, edges)
    return {path: part.reshape(np.shape(saliency[path])) for path, part in zip(saliency, parts, strict=True)}


def join_scores(saliency: Arrays, masks: Arrays | None = None) -> np.ndarray:
    """Returns all scores in one array, −∞ for weights that are not candidates."""
    parts = []
    for path, scores in saliency.items():
        part = np.ravel(scores).astype("float64")
        left = np.ones(part.size, bool) if masks is None else np.ravel(masks[path])
        if not np.isfinite(part[left]).all():
            raise PruneError(
                f"Expected finite scores. Received: NaN or infinity in those of {path!r}. Check the weights, the data "
                "and the loss."
            )
        parts.append(np.where(left, part, -np.inf))
    if not sum(part.size for part in parts):
        raise PruneError("Expected scores of kernels. Received: none. The model has no kernel that may lose weights.")
    return np.concatenate(parts)
