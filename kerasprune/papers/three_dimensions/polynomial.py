"""The full polynomial: the baseline that the low-rank model is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasprune.errors import is_number, raise_faults, whole_number_faults
from kerasprune.papers.three_dimensions.surface import Surface


class Polynomial(Surface):
    """`F(d, w, r) = Σ_{i,j,k ≤ K} θ_ijk (d − c)^i (w − c)^j (r − c)^k`.

    Least squares; of the solutions of a system that leaves coefficients undetermined the one of least norm. Which one
    that is depends on the centre c. Rows with one of d, w and r below 1 leave all cross terms undetermined: in powers
    of x − 1 those are then zero, and the surface is the sum of three curves; in raw powers they are not.

    Args:
        degree: K. Defaults to 3.
        centre: c. Defaults to 0.0: raw monomials, as in the paper.
        ridge: ℓ₂, the weight of `Σ θ²` (but θ_000) beside the mean squared relative error. Defaults to 0.0.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> rows = Polynomial(degree=1).fit([1, 0.5, 1, 1], [1, 1, 0.5, 1], [1, 1, 1, 0.5], [90, 80, 85, 88])
        >>> round(rows.predict(0.5, 1, 1), 6)
        80.0

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 5 and Table 4.
    """

    def __init__(self, degree: int = 3, centre: float = 0.0, ridge: float = 0.0) -> None:
        super().__init__()
        faults = [*whole_number_faults(1, degree=degree), *ridge_faults(ridge)]
        if not is_number(centre):
            faults.append(f"Expected centre to be a number. Received: centre={centre!r}.")
        raise_faults("The polynomial cannot be made:", faults)
        self.degree = degree
        self.centre = centre
        self.ridge = ridge

    @property
    def free(self) -> int:
        """Number of coefficients, `(K + 1)³`."""
        return (self.degree + 1) ** 3

    def _faults(self, points: np.ndarray) -> list[str]:
        return [] if len(points) > 1 else [f"Expected at least 2 points. Received: {len(points)}."]

    def _solved(self, points: np.ndarray, accuracy: np.ndarray, start: Any) -> np.ndarray:
        del start
        unit = np.abs(accuracy).mean()
        rows, measured = self._powers(points) / np.sqrt(len(points)), accuracy / unit / np.sqrt(len(points))
        penalty = np.sqrt(self.ridge) * np.eye(self.free)[1:]
        if self.ridge:
            rows, measured = np.vstack([rows, penalty]), np.append(measured, np.zeros(len(penalty)))
        return unit * np.linalg.lstsq(rows, measured, rcond=None)[0]

    def _value(self, coefficients: np.ndarray, points: np.ndarray) -> np.ndarray:
        return self._powers(points) @ coefficients

    def _powers(self, points: np.ndarray) -> np.ndarray:
        d, w, r = np.moveaxis((points - self.centre)[..., None] ** np.arange(self.degree + 1), 1, 0)
        return np.einsum("ni,nj,nk->nijk", d, w, r).reshape(len(points), -1)


def ridge_faults(ridge: Any) -> list[str]:
    """Returns what is wrong with the weight of a penalty."""
    return [] if is_number(ridge) and ridge >= 0 else [f"Expected ridge ≥ 0. Received: ridge={ridge!r}."]
