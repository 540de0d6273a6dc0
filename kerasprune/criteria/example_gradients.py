"""Gradients of single examples, which second-order criteria are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.backend.derivatives import gradient, per_example
from kerasprune.criteria.gradients import Gradients, check_finite
from kerasprune.criteria.objective import batches_for_loss, objective
from kerasprune.surgery.precision import in_precision

MOST_NUMBERS = 2**28
"""How many numbers are held at once: 1 GiB."""


def each_gradient(
    model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, examples: int | None
) -> Iterator[list[np.ndarray]]:
    """Yields the gradients of the loss of one example after the other, one for each variable.

    Args:
        model: The model.
        variables: Some of its variables.
        data: Batches of `(inputs, labels)`, or with weights of the examples.
        loss: The loss as `compile` takes it; `None` for the compiled one.
        examples: How many are taken, the first ones; `None` for all.

    Raises:
        PruneError: There is no loss, or data and model do not go together.
    """
    own, there = in_precision(model, "float32")
    of_batch = gradient(objective(model, loss, computing=own), [there[id(each)] for each in variables], own.variables)
    for batch in batches_for_loss(data, model, loss, examples):
        for _, found in per_example(of_batch, *batch):
            yield [ops.convert_to_numpy(each) for each in found]


def mean_squares(
    model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any = None, examples: int | None = None
) -> Gradients:
    """Returns the mean of the squared gradients of single examples: the diagonal of the empirical Fisher matrix.

    Args:
        model: The model.
        variables: Some of its variables.
        data: Batches of `(inputs, labels)`, or with weights of the examples.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        examples: How many are taken, the first ones. Defaults to `None`, all.

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
    for number, found in enumerate(each_gradient(model, variables, data, loss, examples), start=1):  # noqa: B007
        for total, each in zip(totals, found, strict=True):
            total += each.astype("float64") ** 2
    result = {id(variable): total / number for variable, total in zip(variables, totals, strict=True)}
    check_finite(variables, result)
    return result


def example_gradients(
    model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, examples: int
) -> Iterator[tuple[keras.Variable, np.ndarray]]:
    """Yields variables with the gradients of single examples, as a matrix `(examples, size)`.

    As many variables at once as fit into memory; the data are read once for each lot of them.

    Args:
        model: The model.
        variables: Some of its variables.
        data: Batches of `(inputs, labels)`, or with weights of the examples; read again for each lot.
        loss: The loss as `compile` takes it; `None` for the compiled one.
        examples: How many are taken, the first ones.

    Raises:
        PruneError: As for `mean_gradients`.
    """
    for lot in _lots(variables, MOST_NUMBERS // examples):
        rows: list[list[np.ndarray]] = [[] for _ in lot]
        for found in each_gradient(model, lot, data, loss, examples):
            for row, each in zip(rows, found, strict=True):
                row.append(each.ravel())
        for variable, row in zip(lot, rows, strict=True):
            matrix = np.stack(row)
            row.clear()
            check_finite([variable], {id(variable): matrix})
            yield variable, matrix


def _lots(variables: Sequence[keras.Variable], most: int) -> Iterator[list[keras.Variable]]:
    """Yields runs of variables with at most so many numbers in all, or a single one."""
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
