"""`power_law`: a curve with three coefficients through a few points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.errors import raise_faults

_EXPONENTS = np.concatenate([-np.geomspace(8, 0.05, 120), np.geomspace(0.05, 8, 120)])
_REFINED = 40


@dataclass(frozen=True)
class PowerLaw:
    """`y = offset + scale · x^exponent`; returned by `power_law`.

    Args:
        offset: The constant term.
        scale: The coefficient of the power.
        exponent: The power.
        explained: The fraction of the variance of y that the curve explains, R².
        points: Number of points it was fitted to; three are always met exactly.
    """

    offset: float
    scale: float
    exponent: float
    explained: float
    points: int

    def __call__(self, x: Any) -> Any:
        """Returns the curve at x > 0."""
        return self.offset + self.scale * np.asarray(x, float) ** self.exponent


def power_law(x: Any, y: Any) -> PowerLaw:
    """Fits a power law to points by least squares: `y ≈ offset + scale · x^exponent`.

    For each exponent between −8 and 8 the other two coefficients have a closed form; the best exponent is taken.

    Args:
        x: Numbers > 0.
        y: The same number of values.

    Returns:
        The curve, with R² and the number of points.

    Raises:
        PruneError: There are fewer than three different x, or a number is not finite, or an x is not > 0.

    Example:
        >>> curve = power_law([1, 2, 4, 8], [3.0, 5.0, 9.0, 17.0])
        >>> [round(each, 2) for each in (curve.offset, curve.scale, curve.exponent)]
        [1.0, 2.0, 1.0]

    Reference:
        Rosenfeld et al., On the Predictability of Pruning Across Scales, ICML 2021, whose laws are powers; He et al.,
        Network Pruning Spaces, 2023, Conjecture 4, which names no form.
    """
    x, y = np.asarray(x, float).ravel(), np.asarray(y, float).ravel()
    faults = []
    if x.shape != y.shape:
        faults.append(f"Expected as many x as y. Received: {x.size} and {y.size}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all()):
        faults.append("Expected finite numbers, and x > 0. Received: others among them.")
    if not faults and np.unique(x).size < 3:
        faults.append(f"Expected three different x or more. Received: {np.unique(x).size}. Measure more regimes.")
    raise_faults("No curve can be fitted:", faults)
    exponent = _best(_EXPONENTS, x, y)
    gap = 1.06
    for _ in range(_REFINED):
        exponent = _best(exponent * np.array([1 / gap, 1.0, gap]), x, y)
        gap = gap**0.8
    (offset, scale), missed = _line(exponent, x, y)
    variance = ((y - y.mean()) ** 2).sum()
    explained = 1.0 if not variance else 1 - missed / variance
    return PowerLaw(float(offset), float(scale), float(exponent), float(explained), x.size)


def _best(exponents: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    return float(min(exponents, key=lambda exponent: _line(exponent, x, y)[1]))


def _line(exponent: float, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns offset and scale of the least-squares fit at one exponent, and its squared error."""
    unit = np.exp(np.log(x).mean())  # so that no power is very large
    matrix = np.stack([np.ones_like(x), (x / unit) ** exponent], axis=1)
    (offset, scale), *_ = np.linalg.lstsq(matrix, y, rcond=None)
    missed = float(((matrix @ [offset, scale] - y) ** 2).sum())
    return np.array([offset, scale / unit**exponent]), missed
