"""The contract of every accuracy model: accuracy as a function of depth, width and resolution."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np

from kerasprune.checks import fraction_faults, interval_faults, whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.papers.three_dimensional.constraints import Constraint, Optimum, constraint_of, slope

Values = float | Sequence[float] | np.ndarray


class Surface:
    """Base class of the accuracy models `F(d, w, r)`, where d, w and r are fractions kept.

    A subclass defines `_solved(points, accuracy, start)`, which returns coefficients, `_value(coefficients, points)`,
    which must also work with complex numbers, and `_faults(points)`.
    """

    _coefficients: Any = None
    _points: np.ndarray
    _accuracy: np.ndarray
    _draws: dict[tuple[int, int], list[Any]]

    @property
    @abstractmethod
    def free(self) -> int:
        """Number of free parameters."""

    @abstractmethod
    def _faults(self, points: np.ndarray) -> list[str]: ...

    @abstractmethod
    def _solved(self, points: np.ndarray, accuracy: np.ndarray, start: Any) -> Any: ...

    @abstractmethod
    def _value(self, coefficients: Any, points: np.ndarray) -> np.ndarray: ...

    def fit(self, d: Values, w: Values, r: Values, accuracy: Values) -> Self:
        """Fits the model by least squares.

        Args:
            d: Depths of the measured networks, fractions in (0, 1], shape `(n,)`.
            w: Their widths.
            r: Their resolutions.
            accuracy: Their accuracies, in any unit.

        Returns:
            The fitted model itself.

        Raises:
            PruneError: Values are not numbers, lengths differ, a number is out of range or not finite, all accuracies
                are equal, or the points are too few for the model.
        """
        columns = [np.atleast_1d(values) for values in _numbers(d=d, w=w, r=r, accuracy=accuracy)]
        raise_faults(f"Invalid points for {type(self).__name__}:", _faults_of(columns))
        points, measured = np.stack(columns[:3], axis=1), columns[3]
        raise_faults(f"Invalid points for {type(self).__name__}:", self._faults(points))
        self._points, self._accuracy, self._draws = points, measured, {}
        self._coefficients = self._solved(points, measured, None)
        return self

    def faults(self, d: Values, w: Values, r: Values) -> list[str]:
        """Returns the faults of networks as points to fit, whatever their accuracies: before any is trained.

        Args:
            d: Depths of the networks, fractions in (0, 1], shape `(n,)`.
            w: Their widths.
            r: Their resolutions.
        """
        return self._faults(_stacked(d, w, r)[1])

    def predict(self, d: Values, w: Values, r: Values) -> np.ndarray | float:
        """Returns the accuracy of networks, in the unit it was fitted in; arguments broadcast.

        Raises:
            PruneError: The model has not been fitted.
        """
        shape, points = _stacked(d, w, r)
        values = self._value(self._fitted(), points)
        return values.reshape(shape) if shape else float(values[0])

    def gradient(self, d: float, w: float, r: float) -> np.ndarray:
        """Returns `(∂F/∂d, ∂F/∂w, ∂F/∂r)` at a point, exact."""
        return slope(partial(self._value, self._fitted()), np.array([d, w, r], float))

    def residuals(self) -> np.ndarray:
        """Returns `measured − predicted` at the points it was fitted on, shape `(n,)`."""
        predicted = self._value(self._fitted(), self._points)
        return self._accuracy - predicted

    def interval(
        self, d: Values, w: Values, r: Values, *, level: float = 0.9, draws: int = 200, seed: int = 0
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Returns the lower and upper ends of the predictions of repeated fits, by bootstrap of the residuals.

        Residuals are scaled by `sqrt(n / (n − p))`, where p is the number of free parameters; if n ≤ p the fit meets
        all points and the interval is empty of information. It covers noise of the measured points only, not that the
        true surface has another form.

        Args:
            d: Depths.
            w: Widths.
            r: Resolutions.
            level: Probability that the interval covers. Defaults to 0.9.
            draws: Number of fits. Defaults to 200.
            seed: Seed of the draws. Defaults to 0.

        Raises:
            PruneError: An argument is out of range, or the model has not been fitted.
        """
        faults = [*whole_number_faults(1, draws=draws), *whole_number_faults(0, seed=seed)]
        faults += interval_faults("(0, 1)", "a probability", level=level)
        raise_faults("Invalid arguments for interval:", faults)
        shape, points = _stacked(d, w, r)
        fits = self._redrawn(draws, seed)
        values = np.array([self._value(coefficients, points) for coefficients in fits])
        ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
        low, high = (end.reshape(shape) if shape else float(end[0]) for end in ends)
        return low, high

    def optimum(
        self,
        cost: float = 0.5,
        lower: Sequence[float] | None = None,
        *,
        constraint: Constraint | Callable[[float, float, float], float] | None = None,
    ) -> Optimum:
        """Returns the depth, width and resolution of highest predicted accuracy at a cost.

        `max F(d, w, r)  subject to  C(d, w, r) = T,  lower ≤ (d, w, r) ≤ 1`

        Args:
            cost: T, the fraction of the dense network's cost that is kept. Defaults to 0.5.
            lower: Least d, w and r. Defaults to `(T, √T, √T)`, each of which alone meets `d·w²·r² = T`.
            constraint: The cost of a network: `Volume()`, which is d·w²·r²; a function of d, w and r that returns the
                fraction of the dense cost and increases with each; or `Buildable(…)`, the list of the networks that
                can be built. Defaults to `Volume()`.

        Returns:
            `(d, w, r)`, with its `kkt` residual and `multiplier`.

        Raises:
            PruneError: T is not a fraction, or cannot be reached within the bounds.

        Reference:
            Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 3 and 8.
        """
        value = partial(self._value, self._fitted())
        raise_faults("Invalid arguments for optimum:", fraction_faults(cost=cost))
        (bounds,) = _numbers(lower=[cost, cost**0.5, cost**0.5] if lower is None else lower)
        if bounds.shape != (3,) or not ((bounds > 0) & (bounds <= 1)).all():
            raise PruneError(f"Expected lower to hold three fractions in (0, 1]. Received: lower={lower!r}.")
        return constraint_of(constraint).maximise(value, float(cost), bounds)

    def _redrawn(self, draws: int, seed: int) -> list[Any]:
        start = self._fitted()
        if (draws, seed) not in self._draws:
            generator, residuals = np.random.default_rng(seed), self.residuals()
            number = len(residuals)
            scale = np.sqrt(number / (number - self.free)) if number > self.free else 1.0
            fitted = self._accuracy - residuals
            self._draws[draws, seed] = [
                self._solved(self._points, fitted + scale * generator.choice(residuals, number), start)
                for _ in range(draws)
            ]
        return self._draws[draws, seed]

    def _fitted(self) -> Any:
        if self._coefficients is None:
            raise PruneError(
                f"Expected a fitted {type(self).__name__}. Received: one without coefficients. Call fit() first."
            )
        return self._coefficients


def _numbers(**columns: Values) -> list[np.ndarray]:
    """Returns columns as arrays of floats, checked."""
    arrays, faults = [], []
    for name, values in columns.items():
        try:
            arrays.append(np.asarray(values, float))
        except (TypeError, ValueError):
            faults.append(f"Expected {name} to hold numbers. Received: {name}={values!r}.")
    raise_faults("Invalid arguments:", faults)
    return arrays


def _stacked(d: Values, w: Values, r: Values) -> tuple[tuple[int, ...], np.ndarray]:
    columns = np.broadcast_arrays(*_numbers(d=d, w=w, r=r))
    return columns[0].shape, np.stack([column.ravel() for column in columns], axis=1)


def _faults_of(columns: list[np.ndarray]) -> list[str]:
    lengths = [len(column) if column.ndim == 1 else column.shape for column in columns]
    if len(set(map(str, lengths))) > 1 or columns[0].ndim != 1:
        return [f"Expected d, w, r and accuracy of one length. Received: {', '.join(map(str, lengths))}."]
    faults = []
    for name, column in zip("dwr", columns[:3], strict=True):
        outside = column[~((column > 0) & (column <= 1))]
        if outside.size:
            faults.append(f"Expected {name} to hold fractions kept in (0, 1]. Received: {outside[0]}.")
    accuracy = columns[3]
    if not np.isfinite(accuracy).all():
        faults.append(f"Expected finite accuracies. Received: {accuracy[~np.isfinite(accuracy)][0]}.")
    elif len(accuracy) > 1 and np.ptp(accuracy) == 0:
        faults.append(
            f"Expected accuracies that differ. Received: {accuracy[0]} everywhere, which determines no surface."
        )
    return faults
