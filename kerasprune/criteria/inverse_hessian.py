"""Quadratic models of the loss around the present weights, for Optimal Brain Surgeon: exact, or low rank by kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.linalg import LinAlgError, cholesky, inv, solve

from kerasprune.checks import choice_faults, positive_faults, whole_number_faults
from kerasprune.criteria.base import Checked, argument
from kerasprune.criteria.block_fisher import damp_of
from kerasprune.criteria.example_gradients import example_gradients
from kerasprune.criteria.mean_loss import MeanLoss
from kerasprune.errors import PruneError
from kerasprune.graph.graph import values
from kerasprune.registry import Registry
from kerasprune.surgery.compute_dtype import PRECISIONS

_COLUMNS = 2**16  # columns of a matrix of gradients in float64 at once


class Inverse(Checked):
    """Base of the approximations of the Hessian, and its inverse, for Optimal Brain Surgeon."""

    by_kernel: ClassVar[bool] = False
    """Whether each kernel has its own model, so that other kernels can be left out."""

    def surfaces(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any
    ) -> Iterator[LossSurface]:
        """Yields quadratic models of the loss, each over some of the variables; each variable belongs to one model.

        Args:
            model: The model.
            variables: The variables to differentiate with respect to.
            data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
            loss: The loss as `compile` takes it; `None` for the compiled one.
        """
        raise NotImplementedError


class LossSurface:
    """`L(w + δ) − L(w) ≈ ½ δᵀ H δ` in the weights of some variables, laid end to end.

    Args:
        variables: The variables.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self.variables = list(variables)
        self.weights = np.concatenate([values(variable).ravel().astype("float64") for variable in variables])
        sizes = [int(np.prod(variable.shape)) for variable in variables]
        self.starts = dict(zip(map(id, variables), np.cumsum([0, *sizes[:-1]]), strict=True))

    def single(self) -> np.ndarray:
        """Returns `½ w_q²/[H⁻¹]_qq` for every weight q."""
        raise NotImplementedError

    def together(self, removed: np.ndarray) -> float:
        """Returns `½ w_Qᵀ ([H⁻¹]_QQ)⁻¹ w_Q`, the cost of removing the weights Q after the best change of the others.

        Args:
            removed: The indices of Q.
        """
        raise NotImplementedError

    def compensated(self, removed: np.ndarray) -> np.ndarray:
        """Returns all weights after the best change, `w − H⁻¹ E_Q ([H⁻¹]_QQ)⁻¹ w_Q`; those of Q are 0.

        Args:
            removed: Whether each weight is in Q.
        """
        raise NotImplementedError

    def cut(self, line: np.ndarray) -> dict[int, np.ndarray]:
        """Splits an array over all weights into `{id(variable): array of its shape}`."""
        parts = np.split(line, list(self.starts.values())[1:])
        return {id(v): part.reshape(v.shape) for v, part in zip(self.variables, parts, strict=True)}


@dataclass(frozen=True)
class ExactInverse(Inverse):
    """The exact inverse of the damped Hessian of the loss over all weights, for small networks at a minimum.

    Args:
        damping: λ > 0 as a fraction of the mean diagonal. Defaults to 1e-4.
        most: Maximum number of weights. Defaults to 2,000.
        precision: `"float32"`, or `"float64"` on TensorFlow. Defaults to `"float32"`.
    """

    damping: float = argument(1e-4, positive_faults)
    most: int = argument(2_000, partial(whole_number_faults, 1))
    precision: str = argument("float32", partial(choice_faults, PRECISIONS))

    def surfaces(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any
    ) -> Iterator[LossSurface]:
        """Yields one model of the loss in all weights.

        Raises:
            PruneError: There are more weights than `most`, or the weights are not at a minimum of the loss.
        """
        rows = MeanLoss(model, variables, data, loss, precision=self.precision).hessian_rows(self.most)
        hessian = np.stack([np.concatenate([part.ravel() for part in row]) for _, row in rows])
        hessian = (hessian + hessian.T) / 2
        if not np.isfinite(hessian).all():
            raise PruneError("Expected finite second derivatives. Received: NaN or infinity. Check data and weights.")
        damped = hessian + self.damping * max(float(np.diag(hessian).mean()), 0.0) * np.eye(len(hessian))
        try:
            cholesky(damped)
        except LinAlgError as error:
            least = float(np.linalg.eigvalsh(hessian)[0])
            raise PruneError(
                "Expected a minimum of the loss: second derivatives above 0 in every direction. Received: a least "
                f"eigenvalue of {least:.1e}. Train longer, raise damping, or use inverse='woodbury'."
            ) from error
        yield Dense(variables, damped)


@dataclass(frozen=True)
class WoodburyInverse(Inverse):
    """`H ≈ mean over examples of g gᵀ + λ I` for each kernel, inverted by Woodbury's identity.

    `H⁻¹ = (I − Aᵀ(nλ I + A Aᵀ)⁻¹A)/λ`, where the n rows of A are the gradients of single examples: the full matrix of a
    kernel is never built.

    Args:
        examples: Number of examples used, from the start of the data. Defaults to 128.
        damping: λ > 0 as a fraction of the mean diagonal of a kernel's H. Defaults to 0.1.
    """

    by_kernel: ClassVar[bool] = True
    examples: int = argument(128, partial(whole_number_faults, 1))
    damping: float = argument(0.1, positive_faults)

    def surfaces(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any
    ) -> Iterator[LossSurface]:
        """Yields a model of the loss in the weights of each variable."""
        for variable, rows in example_gradients(model, variables, data, loss, self.examples):
            yield LowRank(variable, rows, self.damping)


class Dense(LossSurface):
    """A model with a full Hessian.

    Args:
        variables: The variables.
        hessian: The positive definite Hessian in all their weights.
    """

    def __init__(self, variables: Sequence[keras.Variable], hessian: np.ndarray) -> None:
        super().__init__(variables)
        self.inverse = inv(hessian)

    def single(self) -> np.ndarray:
        """Returns `½ w_q²/[H⁻¹]_qq` for every weight q."""
        return 0.5 * self.weights**2 / np.diag(self.inverse)

    def together(self, removed: np.ndarray) -> float:
        """Returns `½ w_Qᵀ ([H⁻¹]_QQ)⁻¹ w_Q`."""
        w = self.weights[removed]
        return float(0.5 * w @ solve(self.inverse[np.ix_(removed, removed)], w))

    def compensated(self, removed: np.ndarray) -> np.ndarray:
        """Returns `w − H⁻¹ E_Q ([H⁻¹]_QQ)⁻¹ w_Q`."""
        push = solve(self.inverse[np.ix_(removed, removed)], self.weights[removed])
        return np.where(removed, 0.0, self.weights - self.inverse[:, removed] @ push)


class LowRank(LossSurface):
    """A model whose Hessian is `AᵀA/n + λ I`.

    Args:
        variable: The variable.
        rows: The matrix A, `(n, weights)`: gradients of single examples.
        damping: λ as a fraction of the mean diagonal.
    """

    def __init__(self, variable: keras.Variable, rows: np.ndarray, damping: float) -> None:
        super().__init__([variable])
        self.rows = rows
        self.damp = damp_of(rows, damping)
        self.gram = len(rows) * self.damp * np.eye(len(rows)) + self._products(slice(None))

    def single(self) -> np.ndarray:
        """Returns `½ w_q²/[H⁻¹]_qq` for every weight q."""
        root = inv(cholesky(self.gram))
        shares = np.concatenate([((root @ part) ** 2).sum(axis=0) for part in self._parts(slice(None))])
        return 0.5 * self.damp * self.weights**2 / (1 - shares)

    def together(self, removed: np.ndarray) -> float:
        """Returns `½ w_Qᵀ ([H⁻¹]_QQ)⁻¹ w_Q = ½ λ (|w_Q|² + uᵀ (nλ I + A_R A_Rᵀ)⁻¹ u)`, `u = A_Q w_Q`, R the others."""
        w, u = self.weights[removed], self._along(removed)
        return float(0.5 * self.damp * (w @ w + u @ solve(self.gram - self._products(removed), u)))

    def compensated(self, removed: np.ndarray) -> np.ndarray:
        """Returns `w_R + A_Rᵀ (nλ I + A_R A_Rᵀ)⁻¹ A_Q w_Q` for the weights R kept, 0 for the others."""
        push = solve(self.gram - self._products(removed), self._along(removed))
        change = np.concatenate([push @ part for part in self._parts(slice(None))])
        return np.where(removed, 0.0, self.weights + change)

    def _along(self, chosen: np.ndarray) -> np.ndarray:
        return self.rows[:, chosen].astype("float64") @ self.weights[chosen]

    def _products(self, chosen: Any) -> np.ndarray:
        """Returns `A Aᵀ` over some weights."""
        return sum((part @ part.T for part in self._parts(chosen)), np.zeros((len(self.rows),) * 2))

    def _parts(self, chosen: Any) -> Iterator[np.ndarray]:
        """Yields A over some weights, in float64, some columns at a time."""
        rows = self.rows[:, chosen]
        for start in range(0, rows.shape[1], _COLUMNS):
            yield rows[:, start : start + _COLUMNS].astype("float64")


inverses = Registry(
    "inverse",
    {"exact": ExactInverse, "woodbury": WoodburyInverse},
    base="kerasprune.criteria.inverse_hessian:Inverse",
)
