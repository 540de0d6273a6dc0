"""The model accuracy predictor (MAP): a sum of products of three univariate polynomials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.polynomial import legendre

from kerasprune.checks import is_number, non_negative_faults, whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.papers.three_dimensional.surface import Surface


@dataclass(eq=False, repr=False)
class Polynomial(Surface):
    """`F(d, w, r) = Σ_{i,j,k ≤ K} θ_ijk (d − c)^i (w − c)^j (r − c)^k`, fitted by least squares.

    If the points do not determine all coefficients, the solution of least norm is taken, which depends on the centre c.
    Points with only one of d, w and r below 1 do not determine the cross terms: with c = 1 these are then zero, and the
    surface is the sum of three curves; with c = 0 they are not.

    Args:
        degree: K, the degree. Defaults to 3.
        centre: c, the centre. Defaults to 0.0: raw monomials, as in the paper.
        ridge: Weight of `Σ θ²` (without θ_000) relative to the mean squared relative error. Defaults to 0.0.

    Example:
        >>> rows = Polynomial(degree=1).fit([1, 0.5, 1, 1], [1, 1, 0.5, 1], [1, 1, 1, 0.5], [90, 80, 85, 88])
        >>> round(rows.predict(0.5, 1, 1), 6)
        80.0

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 5 and Table 4.
    """

    degree: int = 3
    centre: float = 0.0
    ridge: float = 0.0

    def __post_init__(self) -> None:
        faults = [*whole_number_faults(1, degree=self.degree), *non_negative_faults(ridge=self.ridge)]
        if not is_number(self.centre):
            faults.append(f"Expected centre to be a number. Received: centre={self.centre!r}.")
        raise_faults("Invalid arguments for Polynomial:", faults)

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


_EXACT = 1e-20  # of the mean squared relative error: no start can do better
_SAME, _OFTEN = 1e-6, 3  # a least sum of squares that is reached three times, to this relative precision, is accepted


@dataclass(eq=False, repr=False)
class MAP(Surface):
    """`F(d, w, r) = Σ_{q ≤ R} H(d; s_q) · H(w; u_q) · H(r; v_q)`, with H polynomials of degree K.

    This is a polynomial whose coefficient tensor has rank R, so that few points suffice: networks pruned along a single
    dimension determine rank 1. It is fitted by least squares from several starts, to accuracies in units of their mean.
    Each H is a sum of Legendre polynomials over the measured range (the same surfaces as with monomials, but better
    conditioned).

    Args:
        rank: R, the rank. Defaults to 1.
        degree: K, the degree; or three of them, of d, w and r, e.g. `(2, 3, 3)` if few depths can be built. Defaults
            to 3.
        ridge: Weight of the sum of squared coefficients (without the constants) relative to the mean squared relative
            error. It selects the flattest curves if the points do not determine all coefficients. Defaults to 0.0,
            which needs enough points.
        starts: Maximum number of starts. Defaults to 12.
        seed: Seed of the starts. Defaults to 0.

    Example:
        >>> import kerasprune as kp
        >>> rows = kp.papers.three_dimensional.table5("resnet32")
        >>> surface = MAP().fit(rows["d"], rows["w"], rows["r"], rows["accuracy"])
        >>> round(surface.predict(1.0, 1.0, 1.0), 1)
        94.1
        >>> d, w, r = surface.optimum(cost=0.5)

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 7; degrees by dimension: footnote 3.
    """

    rank: int = 1
    degree: int | tuple[int, int, int] = 3
    _: KW_ONLY
    ridge: float = 0.0
    starts: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        named = {"degree": self.degree}
        if isinstance(self.degree, tuple | list):
            named = {f"degree[{axis}]": each for axis, each in enumerate(self.degree)}
        faults = whole_number_faults(1, rank=self.rank, starts=self.starts, **named)
        if len(self._degrees) != 3:
            faults.append(f"Expected one degree, or three, of d, w and r. Received: degree={self.degree!r}.")
        faults += [*non_negative_faults(ridge=self.ridge), *whole_number_faults(0, seed=self.seed)]
        raise_faults("Invalid arguments for MAP:", faults)

    @property
    def free(self) -> int:
        """Number of free parameters, `R · (Σ (K + 1) − 2)`: two scales of each product are redundant."""
        return self.rank * (sum(self._degrees) + 1)

    @property
    def _degrees(self) -> tuple[int, ...]:
        """The degrees of d, w and r."""
        return tuple(self.degree) if isinstance(self.degree, tuple | list) else 3 * (self.degree,)

    def factors(self, x: Any, axis: int) -> np.ndarray:
        """Returns the R factors of one dimension, shape `(R, n)`; the scale of a single factor is arbitrary.

        Args:
            x: Fractions, shape `(n,)`.
            axis: 0 = depth, 1 = width, 2 = resolution.
        """
        return self._curves(self._fitted(), np.asarray(x, float), axis).T

    def _faults(self, points: np.ndarray) -> list[str]:
        if self.ridge:
            return []
        faults = []
        if len(points) < self.free:
            faults.append(
                f"Expected at least {self.free} points for rank {self.rank} and degree {self.degree}. "
                f"Received: {len(points)}. Measure more, lower rank= or degree=, or use MAP(ridge=1e-6)."
            )
        for name, degree, column in zip("dwr", self._degrees, points.T, strict=True):
            levels = len(np.unique(column))
            if levels < degree + 1:
                faults.append(
                    f"Expected at least {degree + 1} different values of {name} for degree {degree}. "
                    f"Received: {levels}. Measure others, lower degree=, which can be three numbers, of d, w and r, or "
                    "use MAP(ridge=1e-6)."
                )
        return faults

    def _solved(self, points: np.ndarray, accuracy: np.ndarray, start: Any) -> np.ndarray:
        from scipy.optimize import least_squares

        if start is None:
            self._unit = np.abs(accuracy).mean() or 1.0
            self._low = np.minimum(points.min(axis=0), 0.999)
        measured, number = accuracy / self._unit, np.sqrt(len(accuracy))
        bases = [self._basis(points[:, axis], axis) for axis in range(3)]
        sizes = [self.rank * (degree + 1) for degree in self._degrees]
        penalised = np.concatenate([np.arange(size) % (size // self.rank) > 0 for size in sizes])

        def coefficients(flat: np.ndarray) -> list[np.ndarray]:
            return [each.reshape(self.rank, -1) for each in np.split(flat, np.cumsum(sizes)[:2])]

        def errors(flat: np.ndarray) -> np.ndarray:
            h = [basis @ each.T for basis, each in zip(bases, coefficients(flat), strict=True)]
            lost = (np.prod(h, axis=0).sum(axis=1) - measured) / number
            return np.append(lost, np.sqrt(self.ridge) * flat[penalised])

        def jacobian(flat: np.ndarray) -> np.ndarray:
            h = [basis @ each.T for basis, each in zip(bases, coefficients(flat), strict=True)]
            parts = [
                np.einsum("nq,nk->nqk", np.prod([h[o] for o in range(3) if o != axis], axis=0), bases[axis])
                for axis in range(3)
            ]
            lost = np.concatenate([part.reshape(len(measured), -1) for part in parts], axis=1) / number
            return np.vstack([lost, np.sqrt(self.ridge) * np.eye(flat.size)[penalised]])

        found: list[tuple[float, np.ndarray]] = []
        for begin in self._starts(measured) if start is None else [start]:
            flat = np.concatenate([each.ravel() for each in begin])
            ended = least_squares(errors, flat, jacobian, xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=500)
            found.append((float(ended.cost), ended.x))
            lowest = min(cost for cost, _ in found)
            if lowest < _EXACT or sum(cost <= lowest * (1 + _SAME) for cost, _ in found) == _OFTEN:
                break
        return coefficients(min(found, key=lambda one: one[0])[1])

    def _starts(self, measured: np.ndarray) -> Iterator[list[np.ndarray]]:
        """Yields the starts: the constant surface, then with random slopes and products."""
        generator = np.random.default_rng(self.seed)
        for number in range(self.starts):
            spread = 0.3 if number else 0.0
            start = [spread * generator.normal(size=(self.rank, degree + 1)) for degree in self._degrees]
            for each in start:
                each[0, 0] += np.cbrt(measured.mean())
                each[1:] += 0.1 * generator.normal(size=each[1:].shape)
            yield start

    def _value(self, coefficients: list[np.ndarray], points: np.ndarray) -> np.ndarray:
        curves = [self._curves(coefficients, points[:, axis], axis) for axis in range(3)]
        return self._unit * np.prod(curves, axis=0).sum(axis=1)

    def _curves(self, coefficients: list[np.ndarray], x: np.ndarray, axis: int) -> np.ndarray:
        return self._basis(x, axis) @ coefficients[axis].T

    def _basis(self, x: np.ndarray, axis: int) -> np.ndarray:
        """Returns the Legendre polynomials at fractions, their range mapped to [−1, 1]; shape `(n, K + 1)`."""
        low = self._low[axis]
        return legendre.legvander((2 * x - 1 - low) / (1 - low), self._degrees[axis])
