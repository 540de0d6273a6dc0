"""Gradients of single examples, for second-order criteria."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerasprune.criteria.mean_loss import Gradients, MeanLoss, finite

MOST_NUMBERS = 2**28
"""Numbers in memory at once: 1 GiB."""


def mean_squares(
    model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any = None, examples: int | None = None
) -> Gradients:
    """Returns the mean of the squared gradients of single examples: the diagonal of the empirical Fisher matrix.

    Args:
        model: The model.
        variables: The variables to differentiate with respect to.
        data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        examples: Number of examples used, from the start of the data. Defaults to `None`: all.

    Returns:
        `{id(variable): mean square}`.

    Raises:
        PruneError: As for `mean_gradients`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> data = [(np.array([[1.0, 0.0], [0.0, 3.0]], "float32"), np.zeros((2, 1), "float32"))]
        >>> [each.tolist() for each in mean_squares(model, [model.layers[0].kernel], data, "mse").values()]
        [[[2.0], [162.0]]]
    """
    totals, number = [np.zeros(variable.shape) for variable in variables], 0
    mean_loss = MeanLoss(model, variables, data, loss, examples)
    for number, found in enumerate(mean_loss.each_gradient(), start=1):  # noqa: B007
        for total, each in zip(totals, found, strict=True):
            total += each.astype("float64") ** 2
    return finite(variables, [total / number for total in totals])


def example_gradients(
    model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, examples: int
) -> Iterator[tuple[keras.Variable, np.ndarray]]:
    """Yields variables with the gradients of single examples, as a matrix `(examples, size)`.

    As many variables at once as fit into memory; the data are read once for each batch of variables.

    Args:
        model: The model.
        variables: The variables to differentiate with respect to.
        data: Batches of `(inputs, labels)`, or with weights of the examples; read again for each batch of variables.
        loss: The loss as `compile` takes it; `None` for the compiled one.
        examples: Number of examples, the first ones.

    Raises:
        PruneError: As for `mean_gradients`.
    """
    for lot in _lots(variables, MOST_NUMBERS // examples):
        rows: list[list[np.ndarray]] = [[] for _ in lot]
        for found in MeanLoss(model, lot, data, loss, examples).each_gradient():
            for row, each in zip(rows, found, strict=True):
                row.append(each.ravel())
        for variable, row in zip(lot, rows, strict=True):
            matrix = np.stack(row)
            row.clear()
            finite([variable], [matrix])
            yield variable, matrix


def _lots(variables: Sequence[keras.Variable], most: int) -> Iterator[list[keras.Variable]]:
    """Yields runs of variables with at most `most` numbers together, or a single variable."""
    lot: list[keras.Variable] = []
    size = 0
    for variable in variables:
        count = int(np.prod(variable.shape))
        if lot and size + count > most:
            yield lot
            lot, size = [], 0
        lot.append(variable)
        size += count
    if lot:
        yield lot
