"""Ridge regression towards given matrices, group by group, by normal equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from kerasprune.repair.reconstruction.as_linear import multiply_by_group, product

_AT_ONCE = 4096  # rows
_STEPS = 100  # of gradients within a constraint
Allowed = Solver = Callable[[np.ndarray], np.ndarray]


class LeastSquares:
    """`min ‖X (W₀ + Δ) + 1 bᵀ − Y‖² + ρ tr(XᵀX)/d ‖Δ‖²` for each group, for several Y and ρ one after the other.

    Args:
        rows: X, (rows, groups, d).
        start: W₀, (groups, d, columns).
        constant: Whether there is a b. X is centred for it.
        allowed: `allowed(W)` is the nearest W within a constraint. Defaults to `None`: any is.
    """

    def __init__(self, rows: np.ndarray, start: np.ndarray, constant: bool, allowed: Allowed | None = None) -> None:
        self.start, self.constant, self.allowed = start, constant, allowed
        self._known: tuple[float, Solver] | None = None
        number, groups, width = rows.shape
        self.mean = rows.mean(axis=0, dtype="float64") if constant else np.zeros((groups, width))
        self.rows = (rows - self.mean.astype(rows.dtype)).transpose(1, 0, 2)
        self._before = product(self.rows, start)
        self._dual = number < width and allowed is None
        size = number if self._dual else width
        self._gram = np.zeros((groups, size, size))
        for part in [self.rows] if self._dual else self._parts():
            exact = part.astype("float64")
            turned = exact.transpose(0, 2, 1)
            self._gram += product(exact, turned) if self._dual else product(turned, exact)
        self._level = np.trace(self._gram, axis1=1, axis2=2) / width

    def solve(self, target: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns W = W₀ + Δ, (groups, d, columns), and b, (groups, columns).

        `Δ = (XᵀX + λI)⁻¹ Xᵀ R = Xᵀ (XXᵀ + λI)⁻¹ R` for the residual `R = Y − X W₀`; the smaller matrix is inverted.

        Args:
            target: Y, (rows, groups, columns).
            ridge: ρ; at infinity W stays W₀.
        """
        if self._known is None or self._known[0] != ridge:
            self._known = ridge, self._solver(ridge)
        middle, moments = self._moments(target)
        solved = self._known[1](moments)
        if self.allowed is not None:
            solved = self._within(moments, solved, ridge)
        return self._weights(middle, solved)

    def steadiest(
        self, target: np.ndarray, ridges: Sequence[float], rows: np.ndarray, there: np.ndarray, slack: float = 0.0
    ) -> float:
        """Returns the largest ρ whose error on held-out rows is within `slack` of the smallest.

        Args:
            target: Y, (rows, groups, columns).
            ridges: What is tried.
            rows: X there, (other rows, groups, d).
            there: Y there, (other rows, groups, columns).
            slack: How much larger than the least error another may be, as a fraction of it. Defaults to 0.
        """
        middle, moments = self._moments(target)
        errors: dict[float, float] = {}
        for ridge in ridges:
            solver = self._solver(ridge)
            error = float(((fitted_rows(rows, *self._weights(middle, solver(moments))) - there) ** 2).sum())
            if error < min(errors.values(), default=np.inf):
                self._known = ridge, solver  # `solve` takes it up
            errors[ridge] = error
        most = (1 + slack) * min(errors.values())
        near = [ridge for ridge, error in errors.items() if error <= most]
        return max(near, default=ridges[0])

    def fitted(self, matrices: np.ndarray, constant: np.ndarray) -> np.ndarray:
        """Returns `X W + 1 bᵀ`, (rows, groups, columns)."""
        return fitted_rows(self.rows.transpose(1, 0, 2), matrices, constant + self._at_mean(matrices))

    def _solver(self, ridge: float) -> Solver:
        """Returns the function that multiplies by the inverse of `XᵀX + λI`, or of `XXᵀ + λI`."""
        if np.isinf(ridge):
            return np.zeros_like
        matrix = self._with_ridge(ridge)
        try:
            if len(matrix) == 1:
                factor = cho_factor(matrix[0], check_finite=False)
                return lambda moments: cho_solve(factor, moments[0], check_finite=False)[None]
            return partial(np.matmul, np.linalg.inv(matrix))
        except np.linalg.LinAlgError:  # without a ridge, rows that depend on each other
            return partial(np.matmul, np.linalg.pinv(matrix, hermitian=True))

    def _with_ridge(self, ridge: float) -> np.ndarray:
        held = ridge * self._level + np.where(self._level > 0, 0.0, 1.0)
        return self._gram + held[:, None, None] * np.eye(self._gram.shape[1])

    def _within(self, moments: np.ndarray, free: np.ndarray, ridge: float) -> np.ndarray:
        """Returns the best Δ found with W₀ + Δ within the constraint, from projected gradients with momentum.

        Args:
            moments: `XᵀR`.
            free: The best Δ of all.
            ridge: ρ.
        """

        def nearest(change: np.ndarray) -> np.ndarray:
            return self.allowed(self.start + change) - self.start

        if np.isinf(ridge) or np.allclose(nearest(free), free, atol=1e-6):
            return nearest(free)
        matrix = self._with_ridge(ridge)
        step = 1 / np.linalg.eigvalsh(matrix)[:, -1:, None]

        def error(change: np.ndarray) -> float:
            return float((change * (matrix @ change / 2 - moments)).sum())

        begun = now = ahead = min(nearest(free), nearest(np.zeros_like(free)), key=error)
        for turn in range(_STEPS):
            was, now = now, nearest(ahead - step * (matrix @ ahead - moments))
            ahead = now + turn / (turn + 3) * (now - was)
        return min(begun, now, key=error)

    def _moments(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean of Y, and `XᵀR`, or R if the inverse is that of `XXᵀ`."""
        middle = np.zeros(target.shape[1:], target.dtype)
        if self.constant:
            middle = target.mean(axis=0, dtype="float64").astype(target.dtype)

        residual = (target - middle).transpose(1, 0, 2) - self._before
        return middle, residual if self._dual else product(self.rows.transpose(0, 2, 1), residual).astype("float64")

    def _weights(self, middle: np.ndarray, solved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns W and b."""
        matrices = self.start + (product(self.rows.transpose(0, 2, 1), solved) if self._dual else solved)
        return matrices, middle - self._at_mean(matrices)

    def _at_mean(self, matrices: np.ndarray) -> np.ndarray:
        return (self.mean[:, None] @ matrices)[:, 0]

    def _parts(self) -> Iterator[np.ndarray]:
        """Yields the centred rows of every group, some at a time: (groups, some, d)."""
        for begin in range(0, self.rows.shape[1], _AT_ONCE):
            yield self.rows[:, begin : begin + _AT_ONCE]


def fitted_rows(rows: np.ndarray, matrices: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Returns `X W + 1 bᵀ`, (rows, groups, columns)."""
    return multiply_by_group(rows, matrices.astype(rows.dtype)) + constant.astype(rows.dtype)
