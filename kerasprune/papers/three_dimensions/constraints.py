"""Costs of networks of given depth, width and resolution, and the best point at a cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.papers.three_dimensions.kkt import candidates, residual

Value = Callable[[np.ndarray], np.ndarray]
_GRID, _SEEDS, _APART, _MET = 31, 6, 0.1, 1e-9


class _Point(NamedTuple):
    d: float
    w: float
    r: float


class Optimum(_Point):
    """The best `(d, w, r)` at a cost.

    Attributes:
        kkt: Largest violation of the Karush–Kuhn–Tucker conditions, bounds included, in units of accuracy per
            fraction kept; `nan` where the choice is between the networks of a list.
        multiplier: λ: by how much the accuracy would grow with T; `nan` likewise.
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
    """Base of the constraints: `C(d, w, r) = T`."""

    @abstractmethod
    def maximise(self, value: Value, cost: float, lower: np.ndarray) -> Optimum:
        """Returns the point of highest value at a cost, within `lower ≤ point ≤ 1`."""

    def check(self, cost: float, lower: np.ndarray) -> None:
        """Raises a `PruneError` where no point within the bounds has the cost; it needs no value."""


class Smooth(Constraint):
    """Any cost that grows with each of d, w and r.

    Args:
        function: From d, w and r to the fraction of the dense network's cost, at `(1, 1, 1)` about 1.

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

    def solved(self, point: np.ndarray, axis: int, cost: float, low: float) -> float | None:
        """Returns the coordinate along an axis at which a cost is met, or `None` where that is out of its bounds."""
        from scipy.optimize import brentq

        def excess(x: float) -> float:
            moved = point.copy()
            moved[axis] = x
            return self.cost(moved) - cost

        ends = excess(low), excess(1.0)
        for x, end in zip((low, 1.0), ends, strict=True):
            if abs(end) <= _MET:
                return x
        return float(brentq(excess, low, 1.0, xtol=1e-15, rtol=1e-14)) if ends[0] < 0 < ends[1] else None

    def maximise(self, value: Value, cost: float, lower: np.ndarray) -> Optimum:
        """Returns the optimum: the best points of a grid over the constraint, each followed to where KKT holds."""
        self.check(cost, lower)
        grid = np.array(list(self._feasible(cost, lower)))
        order = np.argsort(-value(grid).real, kind="stable")
        found = [x for seed in _apart(grid[order]) for x in candidates(value, self, cost, lower, seed)]
        values = np.array([value(x[None])[0].real for x in found])
        best = [x for x, v in zip(found, values, strict=True) if v >= values.max() - 1e-9 * np.abs(values).max()]
        checked = [(*residual(value, self, lower, x), x) for x in best]
        kkt, multiplier, point = min(checked, key=lambda one: one[0])
        return Optimum.at(point, kkt, multiplier)

    def check(self, cost: float, lower: np.ndarray) -> None:
        """Checks that the cost lies between that of the bounds and that of the dense network."""
        least, most = self.cost(lower), self.cost(np.ones(3))
        if not least <= cost * (1 + _MET) or not cost <= most * (1 + _MET):
            raise PruneError(
                f"Expected a cost between {least:.4g}, which the least depth, width and resolution have, and "
                f"{most:.4g}. Received: cost={cost}. Ask for another cost, or lower the bounds with lower=."
            )

    def _feasible(self, cost: float, lower: np.ndarray) -> Iterator[np.ndarray]:
        """Yields points that meet the cost: on a grid of every two coordinates, solved for the third."""
        lines = [np.linspace(low, 1.0, _GRID) for low in lower]
        for axis in range(3):
            first, second = (other for other in range(3) if other != axis)
            for a in lines[first]:
                for b in lines[second]:
                    point = np.ones(3)
                    point[first], point[second] = a, b
                    x = self.solved(point, axis, cost, lower[axis])
                    if x is not None:
                        point[axis] = x
                        yield point


class Volume(Smooth):
    """`C = d · w² · r²`.

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 4, after Tan and Le, EfficientNet.
    """

    _POWERS = np.array([1.0, 2.0, 2.0])

    def __init__(self) -> None:
        super().__init__(lambda d, w, r: d * w**2 * r**2)

    def gradient(self, point: np.ndarray) -> np.ndarray:
        """Returns `C · (1/d, 2/w, 2/r)`."""
        return self.cost(point) * self._POWERS / point

    def solved(self, point: np.ndarray, axis: int, cost: float, low: float) -> float | None:
        """Returns the coordinate in closed form."""
        others = self.cost(point) / point[axis] ** self._POWERS[axis]
        x = (cost / others) ** (1 / self._POWERS[axis])
        return min(max(x, low), 1.0) if low * (1 - 1e-12) <= x <= 1 + 1e-12 else None


class Buildable(Constraint):
    """The networks that can be built, one by one, with what each costs: whole blocks, channels and pixels.

    The best is sought among those that cost at most T.

    Args:
        d: Depths, shape `(n,)`.
        w: Widths.
        r: Resolutions.
        cost: Fractions of the dense network's cost.
    """

    def __init__(self, d: Any, w: Any, r: Any, cost: Any) -> None:
        self._points = np.stack(np.broadcast_arrays(*(np.asarray(x, float).ravel() for x in (d, w, r))), axis=1)
        self._costs = np.asarray(cost, float).ravel()
        if len(self._costs) != len(self._points) or not len(self._costs):
            raise PruneError(
                f"Expected one cost per network. Received: {len(self._points)} networks, {len(self._costs)} costs."
            )

    def maximise(self, value: Value, cost: float, lower: np.ndarray) -> Optimum:
        """Returns the network of highest value among those within the budget and the bounds."""
        self.check(cost, lower)
        points = self._points[self._inside(lower) & (self._costs <= cost * (1 + _MET))]
        return Optimum.at(points[int(np.argmax(value(points).real))])

    def check(self, cost: float, lower: np.ndarray) -> None:
        """Checks that a network within the bounds costs no more."""
        least = self._costs[self._inside(lower)].min(initial=np.inf)
        if least > cost * (1 + _MET):
            raise PruneError(
                f"Expected a cost that can be reached: the least that can be built in the bounds costs {least:.4g}. "
                f"Received: cost={cost}. Ask for more, or lower the bounds with lower=."
            )

    def _inside(self, lower: np.ndarray) -> np.ndarray:
        return (self._points >= lower - 1e-9).all(axis=1)


def _apart(points: np.ndarray) -> list[np.ndarray]:
    """Returns the first few points that are well apart from one another."""
    chosen: list[np.ndarray] = []
    for point in points:
        if all(np.abs(point - other).max() >= _APART for other in chosen):
            chosen.append(point)
        if len(chosen) == _SEEDS:
            break
    return chosen


def constrained(constraint: Constraint | Callable[[float, float, float], float] | None) -> Constraint:
    """Returns a constraint for a constraint, a function, or `None`."""
    if constraint is None:
        return Volume()
    if isinstance(constraint, Constraint):
        return constraint
    if not callable(constraint):
        raise PruneError(f"Expected a constraint or a function of d, w and r. Received: constraint={constraint!r}.")
    return Smooth(constraint)
