"""Ridge regression towards given matrices, group by group, by normal equations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kerasprune.surgery.as_linear import multiplied, product

_AT_ONCE = 4096  # rows


@dataclass
class LeastSquares:
    """`min ‖X (W₀ + Δ) + 1 bᵀ − Y‖² + ρ tr(XᵀX)/d ‖Δ‖²` for each group, for several Y one after the other.

    Args:
        rows: X, (rows, groups, d).
        start: W₀, (groups, d, columns).
        ridge: ρ.
        constant: Whether there is a b. X is centred for it.
    """

    rows: np.ndarray
    start: np.ndarray
    ridge: float
    constant: bool
    mean: np.ndarray = field(init=False)
    _inverse: np.ndarray = field(init=False)
    _dual: bool = field(init=False)

    def __post_init__(self) -> None:
        number, groups, width = self.rows.shape
        self.mean = np.zeros((groups, width))
        if self.constant:
            self.mean = self.rows.mean(axis=0, dtype="float64")
        self._dual = number < width
        size = number if self._dual else width
        gram = np.zeros((groups, size, size))
        for part in [self._all()] if self._dual else self._parts():
            exact = part.astype("float64")
            turned = exact.transpose(0, 2, 1)
            gram += product(exact, turned) if self._dual else product(turned, exact)
        level = np.trace(gram, axis1=1, axis2=2) / width
        gram += (self.ridge * level + np.where(level > 0, 0.0, 1.0))[:, None, None] * np.eye(size)
        try:
            self._inverse = np.linalg.inv(gram)
        except np.linalg.LinAlgError:  # without a ridge, rows that depend on each other
            self._inverse = np.linalg.pinv(gram, hermitian=True)

    def solve(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns W = W₀ + Δ, (groups, d, columns), and b, (groups, columns).

        `Δ = (XᵀX + λI)⁻¹ Xᵀ R = Xᵀ (XXᵀ + λI)⁻¹ R` for the residual `R = Y − X W₀`, whichever is smaller.

        Args:
            target: Y, (rows, groups, columns).
        """
        middle = np.zeros(target.shape[1:], target.dtype)
        if self.constant:
            middle = target.mean(axis=0, dtype="float64").astype(target.dtype)

        def residual(part: np.ndarray, begin: int) -> np.ndarray:
            return (target[begin : begin + part.shape[1]] - middle).transpose(1, 0, 2) - product(part, self.start)

        if self._dual:
            rows = self._all()
            change = product(rows.transpose(0, 2, 1), product(self._inverse, residual(rows, 0)))
        else:
            parts = enumerate(self._parts())
            moments = [product(part.transpose(0, 2, 1), residual(part, number * _AT_ONCE)) for number, part in parts]
            change = self._inverse @ np.sum(moments, axis=0, dtype="float64")
        matrices = self.start + change
        return matrices, middle - (self.mean[:, None] @ matrices)[:, 0]

    def _all(self) -> np.ndarray:
        return np.concatenate(list(self._parts()), axis=1)

    def _parts(self) -> Iterator[np.ndarray]:
        """Yields the centred rows of every group, some at a time: (groups, some, d)."""
        for begin in range(0, len(self.rows), _AT_ONCE):
            part = self.rows[begin : begin + _AT_ONCE] - self.mean.astype(self.rows.dtype)
            yield part.transpose(1, 0, 2)


def fitted(rows: np.ndarray, matrices: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Returns `X W + 1 bᵀ`, (rows, groups, columns)."""
    return multiplied(rows, matrices.astype(rows.dtype)) + constant.astype(rows.dtype)


def steadiest_ridge(
    rows: np.ndarray, target: np.ndarray, start: np.ndarray, ridges: Sequence[float], constant: bool
) -> float:
    """Returns which ρ does best on the last fifth of the rows when solved on the others."""
    cut = len(rows) - len(rows) // 5
    errors = []
    for each in ridges:
        solved = LeastSquares(rows[:cut], start, each, constant).solve(target[:cut])
        errors.append(float(((fitted(rows[cut:], *solved) - target[cut:]) ** 2).sum()))
    return ridges[int(np.argmin(errors))]
