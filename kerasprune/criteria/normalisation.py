"""Normalisations that make the scores of different groups comparable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from kerasprune.checks import interval_faults
from kerasprune.criteria.base import Checked, argument


class Normalisation:
    """Base class: makes the scores of one group comparable with those of other groups.

    The order within a group does not change, so a normalisation matters only with budgets that compare groups
    (`global`, `threshold`).
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores of one group, of shape `(channels,)`, normalised; a group of zeros stays zeros."""
        raise NotImplementedError


@dataclass(frozen=True)
class AsTheyAre(Normalisation):
    """`s`: no normalisation."""

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores."""
        return scores


@dataclass(frozen=True)
class ByMean(Normalisation):
    """Scores divided by their mean absolute value.

    `s / mean |s|`, as in the budget `global`.

    Example:
        >>> import numpy as np
        >>> ByMean()(np.array([1.0, 3.0])).tolist()
        [0.5, 1.5]
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores over their mean."""
        return scores / (np.abs(scores).mean() or 1.0)


@dataclass(frozen=True)
class ByMax(Normalisation):
    """Scores divided by the largest absolute value.

    `s / max |s|`.

    Example:
        >>> import numpy as np
        >>> ByMax()(np.array([1.0, 4.0])).tolist()
        [0.25, 1.0]
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores over the largest."""
        return scores / (np.abs(scores).max() or 1.0)


@dataclass(frozen=True)
class BySum(Normalisation):
    """Scores divided by the sum of their absolute values.

    `s / Σ |s|`: wide groups have small scores.

    Example:
        >>> import numpy as np
        >>> BySum()(np.array([1.0, 3.0])).tolist()
        [0.25, 0.75]
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores over their sum."""
        return scores / (np.abs(scores).sum() or 1.0)


@dataclass(frozen=True)
class ByNorm(Normalisation):
    """Scores divided by their Euclidean norm.

    `s / ‖s‖₂`, as in Molchanov et al., ICLR 2017, section 2.2.

    Example:
        >>> import numpy as np
        >>> ByNorm()(np.array([3.0, 4.0])).tolist()
        [0.6, 0.8]
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores over their Euclidean norm."""
        return scores / (np.linalg.norm(scores) or 1.0)


@dataclass(frozen=True)
class Standardised(Normalisation):
    """`(s − mean s) / std s`, which Torch-Pruning calls gaussian.

    Example:
        >>> import numpy as np
        >>> Standardised()(np.array([1.0, 3.0])).tolist()
        [-1.0, 1.0]
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the distances from the mean in standard deviations."""
        return (scores - scores.mean()) / (scores.std() or 1.0)


@dataclass(frozen=True)
class ByRange(Normalisation):
    """`(s − min s) / (max s − min s)`, which Torch-Pruning calls standarization.

    Example:
        >>> import numpy as np
        >>> ByRange()(np.array([1.0, 2.0, 5.0])).tolist()
        [0.0, 0.25, 1.0]
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores between 0 and 1."""
        return (scores - scores.min()) / (np.ptp(scores) or 1.0)


@dataclass(frozen=True)
class ByQuantile(Checked, Normalisation):
    """Scores divided by a quantile of them, the median by default.

    `s / |q-quantile of s|`; Torch-Pruning's sentinel takes the element of that place instead.

    Args:
        quantile: q in (0, 1). Defaults to 0.5, the median.

    Example:
        >>> import numpy as np
        >>> ByQuantile()(np.array([1.0, 2.0, 6.0])).tolist()
        [0.5, 1.0, 3.0]
    """

    quantile: float = argument(0.5, partial(interval_faults, "(0, 1)", "a fraction"))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the scores over their quantile."""
        return scores / (abs(np.quantile(scores, self.quantile)) or 1.0)


@dataclass(frozen=True)
class ByLarger(Normalisation):
    """Scores divided by the sum of those at least as large: LAMP for whole channels.

    `s / Σ_{t ≥ s} t` over the scores t of the group.

    Example:
        >>> import numpy as np
        >>> ByLarger()(np.array([1.0, 3.0])).tolist()
        [0.25, 1.0]

    Reference:
        Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning, ICLR 2021, Eq. 1.
    """

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the shares of non-negative scores in the sum of all that are larger or equal."""
        rising = np.sort(scores)
        left = np.cumsum(rising[::-1])[::-1][np.searchsorted(rising, scores)]
        return scores / np.where(left == 0, 1.0, left)
