"""Aggregations of the scores that several layers give one channel: sum, mean, maximum, first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class Aggregation:
    """Base class: combines the scores of several members, `score(c) = aggregation over m of score_m(c)`."""

    def __call__(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Returns one score per channel.

        Args:
            values: Scores of shape `(members, channels)`, in the order of the graph; 0 if a member scores none.
            present: Whether a member scores a channel, in the same shape.

        Returns:
            Scores of shape `(channels,)`; 0 for a channel that no member scores.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Sum(Aggregation):
    """`Σ_m score_m(c)`: the default of all criteria of weights.

    Example:
        >>> import numpy as np
        >>> Sum()(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[True, True], [True, False]])).tolist()
        [4.0, 2.0]
    """

    def __call__(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Returns the sums."""
        return np.where(present, values, 0.0).sum(axis=0)


@dataclass(frozen=True)
class Mean(Aggregation):
    """`Σ_m score_m(c) / number of members`: channels of many layers are not favoured.

    Example:
        >>> import numpy as np
        >>> Mean()(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[True, True], [True, False]])).tolist()
        [2.0, 2.0]
    """

    def __call__(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Returns the means over the members that score a channel."""
        return np.where(present, values, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)


@dataclass(frozen=True)
class Max(Aggregation):
    """`max_m score_m(c)`: a channel is kept if one layer needs it.

    Example:
        >>> import numpy as np
        >>> Max()(np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([[True, True], [True, False]])).tolist()
        [3.0, -2.0]
    """

    def __call__(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Returns the maxima."""
        largest = np.max(np.where(present, values, -np.inf), axis=0, initial=-np.inf)
        return np.where(present.any(axis=0), largest, 0.0)


@dataclass(frozen=True)
class First(Aggregation):
    """The score of the first layer in the order of the graph, usually the one the group is named after.

    Example:
        >>> import numpy as np
        >>> First()(np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[True, False], [True, True]])).tolist()
        [1.0, 4.0]
    """

    def __call__(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Returns the first scores."""
        if not len(values):
            return np.zeros(values.shape[1])
        first = present.argmax(axis=0)  # 0 if there is none, whose value is 0
        return np.where(present.any(axis=0), values[first, np.arange(values.shape[1])], 0.0)
