"""`to_minimum`: a small network trained on all its data at once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from scipy.optimize import minimize

from kerasprune.backend.derivatives import gradient
from kerasprune.checks import choice_faults, positive_faults, whole_number_faults
from kerasprune.criteria.base import as_array
from kerasprune.criteria.batch_loss import batch_loss, batches_for_loss
from kerasprune.data.arrays_or_batches import read_again
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import check_finite_weights
from kerasprune.surgery.clone import copy_model
from kerasprune.surgery.compiled import compile_like
from kerasprune.surgery.compute_dtype import PRECISIONS, in_precision


def to_minimum(
    model: keras.Model,
    data: Any,
    *,
    until: float = 1e-3,
    steps: int = 5_000,
    precision: str = "float32",
    loss: Any = None,
) -> keras.Model:
    """Returns a copy of a small network, trained on all the data at once until its gradient is small.

    Steps are those of L-BFGS; BatchNorm and dropout act as in evaluation.

    Args:
        model: The network, which is left untouched.
        data: Labelled examples, as for `line`.
        until: The norm of the gradient at the end, relative to the norm at the beginning. Defaults to 1e-3.
        steps: Largest number of steps. Defaults to 5,000.
        precision: `"float32"`, or `"float64"` on TensorFlow, for a small `until`; the weights of the copy are
            of the model's types all the same. Defaults to `"float32"`.
        loss: The loss as `compile` takes it. Defaults to the compiled one.

    Raises:
        PruneError: The gradient is not small enough after all steps, or an argument is out of range.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> x = np.array([[1.0, 0.0], [0.0, 2.0]])
        >>> kp.analysis.to_minimum(model, [(x, x.sum(axis=1, keepdims=True))], loss="mse").get_weights()[0].round(2)
        array([[1.],
               [1.]], dtype=float32)
    """
    raise_faults(
        "Invalid arguments for to_minimum:",
        positive_faults(until=until)
        + whole_number_faults(1, steps=steps)
        + choice_faults(PRECISIONS, precision=precision),
    )
    check_finite_weights(model)
    copy = copy_model(model)
    found = _Descent(copy, model, data, loss, precision).descended(until, steps)
    for variable, part in zip(copy.trainable_variables, found, strict=True):
        variable.assign(part)
    if model.compiled:
        compile_like(copy, model)
    return copy


class _Descent:
    """The mean loss over data, and its gradient, as functions of all trainable weights in one flat vector.

    Args:
        copy: The model that is trained.
        model: The model whose loss it is.
        data: Labelled examples.
        loss: The loss as `compile` takes it, or `None`.
        precision: `"float32"` or `"float64"`.
    """

    def __init__(self, copy: keras.Model, model: keras.Model, data: Any, loss: Any, precision: str) -> None:
        own, there = in_precision(copy, precision)
        self._variables = [there[id(variable)] for variable in copy.trainable_variables]
        self._of_batch = gradient(batch_loss(model, loss, computing=own), self._variables, own.variables)
        read = read_again(data)
        self._batches = list(batches_for_loss(read, model, loss))
        self._last: tuple[np.ndarray, float] | None = None

    def at(self, line: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns loss and gradient."""
        for variable, part in zip(self._variables, self._parts(line), strict=True):
            variable.assign(part)
        total, slope, number = 0.0, np.zeros(line.size), 0
        for batch in self._batches:
            value, parts = self._of_batch(*batch)
            total += batch.size * float(value)
            slope += batch.size * np.concatenate([as_array(part, "float64").ravel() for part in parts])
            number += batch.size
        self._last = line.copy(), float(np.linalg.norm(slope)) / number
        return total / number, slope / number

    def descended(self, until: float, steps: int) -> list[np.ndarray]:
        """Returns the weights at which the norm of the gradient is a fraction of the first."""
        line = np.concatenate([as_array(variable, "float64").ravel() for variable in self._variables])
        first = now = self._norm(line)

        def check(intermediate_result: Any) -> None:
            nonlocal line, now
            line = intermediate_result.x.copy()
            now = self._norm(line)
            if now <= until * first:
                raise StopIteration

        if first > 0:
            options = {"maxiter": steps, "maxfun": 3 * steps, "gtol": 0.0, "ftol": 0.0, "maxcor": 30}
            minimize(self.at, line, jac=True, method="L-BFGS-B", callback=check, options=options)
        if now > until * first:
            raise PruneError(
                f"Expected a gradient of at most until={until:g} times its first norm, {first:.2g}. Received: "
                f"{now:.2g} after the last step. Raise steps={steps}, take precision='float64', or a larger until."
            )
        return self._parts(line)

    def _norm(self, line: np.ndarray) -> float:
        """Returns the norm of the gradient, usually from the evaluation before."""
        if self._last is None or not np.array_equal(self._last[0], line):
            self.at(line)
        return self._last[1]

    def _parts(self, line: np.ndarray) -> list[np.ndarray]:
        """Splits a flat vector into arrays of the shapes of the weights."""
        sizes = [int(np.prod(variable.shape)) for variable in self._variables]
        parts = np.split(line, np.cumsum(sizes)[:-1])
        return [part.reshape(variable.shape) for part, variable in zip(parts, self._variables, strict=True)]
