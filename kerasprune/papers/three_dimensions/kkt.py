"""The conditions of Lagrange and of Karush, Kuhn and Tucker: solved, and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

_STEP = 1e-30  # of the imaginary part: nothing is subtracted, so it cannot be too small
_AT_BOUND, _MET = 1e-9, 1e-8


class Costed(Protocol):
    """What has a cost and its gradient."""

    def cost(self, point: np.ndarray) -> float:
        """Returns C at a point."""

    def gradient(self, point: np.ndarray) -> np.ndarray:
        """Returns ∇C at a point."""


def slope(value: Callable[[np.ndarray], np.ndarray], point: np.ndarray) -> np.ndarray:
    """Returns the gradient of a function at a point by a complex step: `Im F(x + ih) / h`, exact to rounding."""
    return value(point + 1j * _STEP * np.eye(3)).imag / _STEP


def candidates(value: Callable, constraint: Costed, cost: float, lower: np.ndarray, seed: np.ndarray) -> list[Any]:
    """Returns the points that a seed on the constraint leads to, the seed included; all of them meet the cost.

    A sequential quadratic programme finds the neighbourhood of a local maximum and which bounds are active; Newton's
    method then solves the Lagrange system `∇F = λ ∇C, C = T` in the coordinates that are free.
    """
    from scipy.optimize import minimize

    scale = max(abs(float(value(seed[None])[0].real)), 1e-12)
    found = minimize(
        lambda x: -value(x[None])[0].real / scale,
        seed,
        jac=lambda x: -slope(value, x) / scale,
        method="SLSQP",
        bounds=[(low, 1.0) for low in lower],
        constraints={
            "type": "eq",
            "fun": lambda x: constraint.cost(x) - cost,
            "jac": constraint.gradient,
        },
        options={"ftol": 1e-15, "maxiter": 300},
    )
    near = np.clip(found.x, lower, 1.0)
    solved = [_newton(value, constraint, cost, lower, near, within) for within in (1e-7, 1e-5, 1e-3)]
    return [seed, *(x for x in (near, *solved) if x is not None and abs(constraint.cost(x) - cost) <= _MET)]


def _newton(
    value: Callable, constraint: Costed, cost: float, lower: np.ndarray, point: np.ndarray, within: float
) -> np.ndarray | None:
    """Solves the Lagrange system with the coordinates that are `within` their bounds put there."""
    from scipy.optimize import root

    fixed = np.where(point <= lower + within, lower, np.where(point >= 1 - within, 1.0, np.nan))
    free = np.flatnonzero(np.isnan(fixed))
    if not free.size:
        return fixed
    start = slope(value, point), constraint.gradient(point)
    multiplier = (start[0] @ start[1]) / (start[1] @ start[1])

    def system(unknown: np.ndarray) -> np.ndarray:
        x = fixed.copy()
        x[free] = unknown[:-1]
        if (x <= 0).any():
            return np.full(len(unknown), 1e6)
        equal = slope(value, x) - unknown[-1] * constraint.gradient(x)
        return np.append(equal[free], constraint.cost(x) - cost)

    solution = root(system, np.append(point[free], multiplier), tol=1e-14)
    x = fixed.copy()
    x[free] = solution.x[:-1]
    inside = ((x >= lower - 1e-12) & (x <= 1 + 1e-12)).all()
    return np.clip(x, lower, 1.0) if inside else None


def residual(value: Callable, constraint: Costed, lower: np.ndarray, point: np.ndarray) -> tuple[float, float]:
    """Returns by how much the conditions fail at a point, and the multiplier λ of the cost.

    `∇F = λ ∇C + μ_high − μ_low`, with μ ≥ 0 and 0 but at active bounds: the largest entry that is left over when λ and
    μ are chosen best.
    """
    from scipy.optimize import lsq_linear

    up, cost = slope(value, point), constraint.gradient(point)
    columns, lowest = [cost], [-np.inf]
    for axis, unit in enumerate(np.eye(3)):
        if point[axis] >= 1 - _AT_BOUND:
            columns.append(unit)
            lowest.append(0.0)
        if point[axis] <= lower[axis] + _AT_BOUND:
            columns.append(-unit)
            lowest.append(0.0)
    matrix = np.stack(columns, axis=1)
    best: Any = lsq_linear(matrix, up, bounds=(lowest, np.inf), method="bvls", tol=1e-15)
    return float(np.abs(matrix @ best.x - up).max()), float(best.x[0])
