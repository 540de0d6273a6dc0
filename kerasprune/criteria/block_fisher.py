"""WoodFisher: the inverse of the empirical Fisher matrix, in blocks of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.checks import positive_faults, whole_number_faults
from kerasprune.criteria.base import Checked, argument
from kerasprune.criteria.example_gradients import example_gradients
from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.criteria.mean_loss import Gradients
from kerasprune.graph.trace import trace

_AT_ONCE = 2**22  # gradients of filters in memory at once


@dataclass(frozen=True)
class BlockFisher(Checked, GradientCriterion):
    """Second-order increase of the loss, by a Fisher matrix with one block for each filter.

    `score(c) = Σ ½ w_q²/[F⁻¹]_qq` over the kernel slices that make channel c, with a block-diagonal F.

    `F = mean over examples of g gᵀ + λ I` within the weights of one filter, and 0 between filters. The paper instead
    divides a layer into blocks of consecutive weights, which makes the score depend on the order of the channels, and
    adds one absolute λ, which reduces the score to magnitudes if gradients are small.

    Args:
        examples: Number of examples used, from the start of the data. Defaults to 128.
        damping: λ > 0 as a fraction of the mean diagonal of a kernel's F. Defaults to 0.1.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.BlockFisher().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Singh and Alistarh, WoodFisher: Efficient Second-Order Approximation for Neural Network Compression, NeurIPS
        2020, arXiv 2004.14340, sections 3 and 4.
    """

    examples: int = argument(128, partial(whole_number_faults, 1))
    damping: float = argument(0.1, positive_faults)

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `½ w²/[F⁻¹]_qq`; `gradient` holds `1/[F⁻¹]_qq`."""
        return 0.5 * weight**2 * gradient

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns `1/[F⁻¹]_qq` for every weight."""
        makes = {id(kernel.variable): kernel.makes for kernel in trace(model, unknown="freeze").kernels}
        found = {}
        for variable, rows in example_gradients(model, variables, data, loss, self.examples):
            shape, filters = tuple(variable.shape), makes.get(id(variable)) or (len(variable.shape) - 1,)
            order = [*(axis for axis in range(len(shape)) if axis not in filters), *filters]
            moved = rows.reshape(-1, *shape).transpose(0, *(axis + 1 for axis in order))
            number = prod(shape[axis] for axis in filters)
            line = inverted_diagonal(moved.reshape(len(rows), -1), number, self.damping)
            found[id(variable)] = line.reshape(moved.shape[1:]).transpose(np.argsort(order))
        return found


def inverted_diagonal(rows: np.ndarray, filters: int, damping: float) -> np.ndarray:
    """Returns `1/[F⁻¹]_qq` of the empirical Fisher matrix, in blocks of one filter each, by Woodbury's identity.

    `[F⁻¹]_qq = (1 − a_qᵀ (nλ I + A Aᵀ)⁻¹ a_q)/λ`, A the n examples' gradients of the filter's weights.

    Args:
        rows: Gradients of single examples, `(examples, size)`, the filters along the last axis.
        filters: Number of filters.
        damping: λ as a fraction of the mean diagonal of F.

    Returns:
        An array of shape `(size,)`.
    """
    number = len(rows)
    damp = damp_of(rows, damping)
    by_filter = rows.reshape(number, -1, filters).transpose(2, 0, 1)  # (filters, examples, weights of each)
    shares = np.empty((filters, by_filter.shape[2]))
    step = max(1, _AT_ONCE // by_filter[0].size)
    for first in range(0, filters, step):
        part = by_filter[first : first + step].astype("float64")
        gram = part @ part.transpose(0, 2, 1) + number * damp * np.eye(number)
        shares[first : first + step] = (np.linalg.solve(np.linalg.cholesky(gram), part) ** 2).sum(axis=1)
    return (damp / (1 - shares)).T.ravel()


def damp_of(rows: np.ndarray, damping: float) -> float:
    """Returns λ, a fraction of the mean diagonal of the Fisher matrix of gradients `rows`; 1 if that is 0."""
    return damping * float(np.mean(rows.astype("float32") ** 2, dtype="float64")) or 1.0
