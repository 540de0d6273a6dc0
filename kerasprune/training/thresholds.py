"""Thresholds: from the scales of a layer to the value up to which they count as zero.

A scale is kept if it is *greater* than the threshold. Scales are between 0 and a ceiling.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.checks import choice_faults, interval_faults, whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.training.registry import thresholds as _thresholds

__all__ = [
    "Fixed",
    "Otsu",
    "Threshold",
    "Valley",
    "add",
    "gap",
    "get",
    "names",
]


def __dir__() -> list[str]:
    return __all__


SCOPES = ("layer", "network")

add, names = _thresholds.add, _thresholds.names


@dataclass(frozen=True)
class Threshold:
    """Base of all thresholds.

    Args:
        scope: `"layer"`: every layer has its own threshold; `"network"`: one for the scales of all layers
            together. Defaults to `"layer"`.
    """

    scope: str = "layer"

    def __post_init__(self) -> None:
        raise_faults(f"Invalid arguments for {type(self).__name__}:", self.faults())

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        return choice_faults(SCOPES, scope=self.scope)

    @abstractmethod
    def at(self, scales: np.ndarray, ceiling: float) -> float:
        """Returns the threshold of these scales of shape `(n,)`."""

    def each(self, scales: Mapping[str, np.ndarray], ceiling: float = 1.0) -> dict[str, float]:
        """Returns the threshold of every layer.

        Args:
            scales: `{layer: scales}`.
            ceiling: The largest value that a scale can have. Defaults to 1.
        """
        if self.scope == "network":
            return dict.fromkeys(scales, self.at(np.concatenate(list(scales.values())), ceiling))
        return {layer: self.at(values, ceiling) for layer, values in scales.items()}


@dataclass(frozen=True)
class Valley(Threshold):
    """The first valley of the histogram: the left edge of the first bin after which counts stop falling.

    With `h` the counts and `d_i = h_{i+1} − h_i`: the left edge of bin i + 1 for the first i with `d_i ≤ 0 ≤ d_{i+1}`.
    A layer of few channels has empty bins near zero, so that this is nearly always 0.01 to 0.05; pool the scales of all
    layers with `scope="network"`, or use `Otsu`, to avoid this.

    Args:
        scope: As for `Threshold`. Defaults to `"layer"`.
        bins: Number of bins from 0 to the ceiling. Defaults to 100.
        fallback: Threshold without a valley, a fraction of the ceiling. Defaults to 0.01.

    Example:
        >>> import numpy as np
        >>> Valley().at(np.array([0.001, 0.002, 0.003, 0.011, 0.012, 0.025, 0.9]), 1.0)
        0.03

    Reference:
        The authors' code of Zhuang et al., Neuron-level Structured Pruning using Polarization Regularizer, NeurIPS
        2020, in which a histogram without a valley is an error.
    """

    bins: int = 100
    fallback: float = 0.01

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        own = whole_number_faults(3, bins=self.bins) + _share_faults(fallback=self.fallback)
        return super().faults() + own

    def at(self, scales: np.ndarray, ceiling: float) -> float:
        """Returns the left edge of the valley."""
        counts, edges = np.histogram(scales, self.bins, (0, ceiling))
        slopes = np.diff(counts)
        valleys = np.flatnonzero((slopes[:-1] <= 0) & (slopes[1:] >= 0))
        return float(edges[valleys[0] + 1]) if valleys.size else self.fallback * ceiling


@dataclass(frozen=True)
class Fixed(Threshold):
    """The same value everywhere.

    Args:
        scope: Without effect.
        value: The threshold, a fraction of the ceiling. Defaults to 0.01.

    Example:
        >>> import numpy as np
        >>> Fixed(value=0.1).at(np.array([0.0, 1.0]), 1.0)
        0.1
    """

    value: float = 0.01

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        return super().faults() + _share_faults(value=self.value)

    def at(self, scales: np.ndarray, ceiling: float) -> float:
        """Returns the value."""
        return self.value * ceiling


@dataclass(frozen=True)
class Otsu(Threshold):
    """The cut of greatest variance between the two classes: `argmax_τ n₀ n₁ (μ₀ − μ₁)²`.

    It lies midway between two scales. If all scales are equal, it is 0.

    Args:
        scope: As for `Threshold`. Defaults to `"layer"`.

    Example:
        >>> import numpy as np
        >>> Otsu().at(np.array([0.0, 0.1, 0.8, 0.9]), 1.0)
        0.45

    Reference:
        Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Transactions on Systems, Man, and
        Cybernetics, 1979.
    """

    def at(self, scales: np.ndarray, ceiling: float) -> float:
        """Returns the cut."""
        ordered = np.sort(np.asarray(scales, float))
        if ordered[0] == ordered[-1]:
            return 0.0
        below = np.arange(1, ordered.size)
        above = ordered.size - below
        sums = np.cumsum(ordered)[:-1]
        between = below * above * (sums / below - (ordered.sum() - sums) / above) ** 2
        cut = int(np.argmax(between))
        return float((ordered[cut] + ordered[cut + 1]) / 2)


def get(identifier: Any) -> Threshold:
    """Returns a threshold for a number (`Fixed`), a name, a dict with a name and arguments, a class or an instance.

    Raises:
        PruneError: It is none of these, or an argument is out of range.

    Example:
        >>> get(0.05)
        Fixed(scope='layer', value=0.05)
    """
    if isinstance(identifier, int | float) and not isinstance(identifier, bool):
        return Fixed(value=identifier)
    return _thresholds.get(identifier)


def gap(scales: np.ndarray, threshold: float) -> tuple[float, float]:
    """Returns the empty interval around a threshold: the highest scale that is removed, the lowest that is kept.

    Args:
        scales: Shape `(n,)`.
        threshold: A scale is kept if it is greater.

    Returns:
        The two values; NaN if no scale is removed, or none kept.

    Example:
        >>> import numpy as np
        >>> gap(np.array([0.0, 0.02, 0.7, 0.9]), 0.1)
        (0.02, 0.7)
    """
    scales = np.asarray(scales, float)
    removed, kept = scales[scales <= threshold], scales[scales > threshold]
    return float(removed.max(initial=-np.inf)) if removed.size else np.nan, float(kept.min()) if kept.size else np.nan


def _share_faults(**shares: Any) -> list[str]:
    return interval_faults("[0, 1)", "a fraction of the ceiling", **shares)
