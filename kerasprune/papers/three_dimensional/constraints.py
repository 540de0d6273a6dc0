"""Costs of networks by depth, width and resolution, and the best point at a cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from kerasprune.errors import PruneError

Value = Callable[[np.ndarray], np.ndarray]
_STEP = 1e-30  # of the imaginary part: nothing is subtracted, so no step is too small
_RAYS, _SEEDS, _APART = 21, 6, 0.1
_MET, _AT_BOUND, _ROUNDING = 1e-9, 1e-9, 1e-13
_ANEW = 3  # restarts: SLSQP's estimate of the curvature at its end may be wrong


def slope(value: Value, point: np.ndarray) -> np.ndarray:
    """Returns the gradient of a function at a point by a complex step: `Im F(x + ih) / h`, exact to rounding."""
    return value(point + 1j * _STEP * np.eye(3)).imag / _STEP


class _Point(NamedTuple):
    d: float
    w: float
    r: float


class Optimum(_Point):
    """The best `(d, w, r)` at a cost.

    Attributes:
        kkt: Largest violation of the Karush–Kuhn–Tucker conditions, bounds included, in units of accuracy per
            fraction kept; `nan` if it was chosen from a list of networks.
        multiplier: λ, the derivative of the accuracy with respect to T; `nan` likewise.
    """

    kkt: float
    multiplier: float

    @classmethod
    def at(cls, point: Sequence[float], kkt: float = np.nan, multiplier: float = np.nan) -> Optimum:
        """Returns the optimum at a point."""
        found = cls(*map(float, point))
        found.kkt, found.multiplier = float(kkt), float(multiplier)
        return found


class Constraint:
    """Base class of the constraints on cost: `C(d, w, r) = T`."""

    @abstractmethod
    def maximise(self, value: Value, cost: float, lower: np.ndarray) -> Optimum:
        """Returns the point of highest value at a cost, within `lower ≤ point ≤ 1`."""

    def check(self, cost: float, lower: np.ndarray) -> None:
        """Raises a `PruneError` if no point within the bounds has the cost."""


class Smooth(Constraint):
    """Any cost that increases with depth d, width w and resolution r.

    Args:
        function: `function(d, w, r)` returns the cost as a fraction of the dense network's; about 1 at `(1, 1, 1)`.

    Example:
        >>> constraint = Smooth(lambda d, w, r: (0.1 + 0.9 * d) * w**2 * r**2)
    """

    def __init__(self, function: Callable[[float, float, float], float]) -> None:
        self._function = function

    def cost(self, point: np.ndarray) -> float:
        """Returns C at a point."""
        return float(self._function(*map(float, point)))

    def gradient(self, point: np.ndarray) -> np.ndarray:
        """Returns the gradient of C, by central differences of the logarithms."""
        steps = 1e-5 * point * np.eye(3)
        sides = [(self.cost(point + step), self.cost(point - step)) for step in steps]
        return np.array([(up - down) for up, down in sides]) / (2e-5 * point)

    def maximise(self, value: Value, cost: float, lower: np.ndarray) -> Optimum:
        """Returns the optimum: of the best points all over the constraint, followed to local maxima, the best."""
        self.check(cost, lower)
        starts = np.array(list(self._starts(cost, lower)))
        seeds = _apart(starts[np.argsort(-value(starts).real, kind="stable")])
        found = np.array([*seeds, *(self._followed(value, cost, lower, seed) for seed in seeds)])
        found = np.where(found <= lower + _ROUNDING, lower, np.where(found >= 1 - _ROUNDING, 1.0, found))
        met = np.array([x for x in found if abs(self.cost(x) - cost) <= 10 * _MET])
        values = value(met).real
        best = met[values >= values.max() - 1e-9 * np.abs(values).max()]
        kkt, multiplier, point = min(((*self._residual(value, lower, x), x) for x in best), key=lambda one: one[0])
        return Optimum.at(point, kkt, multiplier)

    def check(self, cost: float, lower: np.ndarray) -> None:
        """Checks that the cost lies between those of the lower bounds and of the dense network."""
        least, most = self.cost(lower), self.cost(np.ones(3))
        if not least <= cost * (1 + _MET) or not cost <= most * (1 + _MET):
            raise PruneError(
                f"Expected a cost between {least:.4g}, that of the least depth, width and resolution, and "
                f"{most:.4g}. Received: {cost}. Choose another, or lower the bounds if lower= is given."
            )

    def _starts(self, cost: float, lower: np.ndarray) -> Iterator[np.ndarray]:
        """Yields points that meet the cost, on rays from the lower bounds to the upper faces."""
        from scipy.optimize import brentq

        for end in map(np.array, product(*(np.linspace(low, 1.0, _RAYS) for low in lower))):

            def excess(share: float, end: np.ndarray = end) -> float:
                return self.cost((1 - share) * lower + share * end) - cost

            if end.max() == 1 and excess(1.0) >= -_MET * cost:
                inside = excess(0.0) < 0 < excess(1.0)
                share = brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-14) if inside else float(excess(0.0) < 0)
                yield (1 - share) * lower + share * end

    def _followed(self, value: Value, cost: float, lower: np.ndarray, point: np.ndarray) -> np.ndarray:
        """Returns the local maximum, at the cost and within the bounds, reached from a point."""
        from scipy.optimize import minimize

        scale = max(abs(float(value(point[None])[0].real)), 1e-12)
        for _ in range(_ANEW):
            point = minimize(
                lambda x: -value(x[None])[0].real / scale,
                point,
                jac=lambda x: -slope(value, x) / scale,
                method="SLSQP",
                bounds=[(low, 1.0) for low in lower],
                constraints={"type": "eq", "fun": lambda x: self.cost(x) - cost, "jac": self.gradient},
                options={"ftol": 1e-15, "maxiter": 300},
            ).x
        return point

    def _residual(self, value: Value, lower: np.ndarray, point: np.ndarray) -> tuple[float, float]:
        """Returns the largest residual of the KKT conditions at a point, and the multiplier λ of the cost.

        `∇F = λ ∇C + μ_high − μ_low`, with μ ≥ 0, and μ = 0 at inactive bounds; λ and μ by least squares.
        """
        from scipy.optimize import lsq_linear

        up, cost, units = slope(value, point), self.gradient(point), np.eye(3)
        high, low = point >= 1 - _AT_BOUND, point <= lower + _AT_BOUND
        matrix = np.stack([cost, *units[high], *-units[low]], axis=1)
        lowest = [-np.inf, *np.zeros(matrix.shape[1] - 1)]
        best: Any = lsq_linear(matrix, up, bounds=(lowest, np.inf), method="bvls", tol=1e-15)
        return float(np.abs(matrix @ best.x - up).max()), float(best.x[0])


class Volume(Smooth):
    """`C = d · w² · r²`, the volume of the network.

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 4, after Tan and Le, EfficientNet.
    """

    def __init__(self) -> None:
        super().__init__(lambda d, w, r: d * w**2 * r**2)

    def gradient(self, point: np.ndarray) -> np.ndarray:
        """Returns `C · (1/d, 2/w, 2/r)`."""
        return self.cost(point) * np.array([1, 2, 2]) / point


class Buildable(Constraint):
    """The networks that can be built, with whole blocks, channels and pixels, and their costs.

    The optimum is the best network whose cost is at most the target.

    Args:
        d: Depths, shape `(n,)`.
        w: Widths, shape `(n,)`.
        r: Resolutions, shape `(n,)`.
        cost: Fractions of the dense network's cost, shape `(n,)`.
    """

    def __init__(self, d: Any, w: Any, r: Any, cost: Any) -> None:
        self._points = np.stack(np.broadcast_arrays(*(np.asarray(x, float).ravel() for x in (d, w, r))), axis=1)
        self._costs = np.asarray(cost, float).ravel()
        if len(self._costs) != len(self._points) or not len(self._costs):
            raise PruneError(
                f"Expected one cost per network. Received: {len(self._points)} networks, {len(self._costs)} costs."
            )

    def maximise(self, value: Value, cost: float, lower: np.ndarray) -> Optimum:
        """Returns the network of highest value within the cost and the bounds."""
        self.check(cost, lower)
        points = self._points[self._inside(lower) & (self._costs <= cost * (1 + _MET))]
        return Optimum.at(points[int(np.argmax(value(points).real))])

    def check(self, cost: float, lower: np.ndarray) -> None:
        """Checks that a network within the bounds meets the cost."""
        least = self._costs[self._inside(lower)].min(initial=np.inf)
        if least > cost * (1 + _MET):
            raise PruneError(
                f"Expected a cost that can be reached: the least that can be built in the bounds costs {least:.4g}. "
                f"Received: {cost}. Raise it, or lower the bounds if lower= is given."
            )

    def _inside(self, lower: np.ndarray) -> np.ndarray:
        return (self._points >= lower - 1e-9).all(axis=1)


def _apart(points: np.ndarray) -> list[np.ndarray]:
    """Returns the first few points that differ enough from one another."""
    chosen: list[np.ndarray] = []
    for point in points:
        if len(chosen) < _SEEDS and all(np.abs(point - other).max() >= _APART for other in chosen):
            chosen.append(point)
    return chosen


def constraint_of(constraint: Constraint | Callable[[float, float, float], float] | None) -> Constraint:
    """Returns a constraint for a constraint, a function, or `None`."""
    if constraint is None:
        return Volume()
    if isinstance(constraint, Constraint):
        return constraint
    if not callable(constraint):
        raise PruneError(f"Expected a constraint or a function of d, w and r. Received: constraint={constraint!r}.")
    return Smooth(constraint)
