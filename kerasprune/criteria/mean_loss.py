"""The mean loss over data as a function of some weights: its gradient, and its Hessian times vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import maker
from kerasprune.backend.derivatives import gradient, hessian_vector_product
from kerasprune.criteria.gradients import check_finite
from kerasprune.criteria.objective import batches_for_loss, objective
from kerasprune.data.batches import Batch
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import functional
from kerasprune.surgery.precision import in_precision

_SHARES = ("softmax", "sigmoid", "log_softmax")


@dataclass(frozen=True)
class MeanLoss:
    """The mean loss of a model over data, its outputs divided by a temperature.

    Args:
        model: The model; it is left untouched.
        variables: The weights.
        data: Batches of `(inputs, labels)`, read once for each derivative.
        loss: The loss as `compile` takes it; `None`: the compiled one.
        training: Whether BatchNorm takes the statistics of the batch, and dropout is on.
        temperature: What outputs are divided by.
    """

    model: keras.Model
    variables: Sequence[keras.Variable]
    data: Any
    loss: Any
    training: bool
    temperature: float

    def gradient(self) -> list[np.ndarray]:
        """Returns the gradient by each variable.

        Raises:
            PruneError: There is no loss, data and model do not go together, or a gradient is not finite.
        """
        function, variables, state = self._function()
        of_batch = gradient(function, variables, state)
        return self._mean(lambda batch: of_batch(*batch)[1])

    def hessian_times(self, vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the Hessian times vectors, one for each variable; raises as `gradient` does."""
        function, variables, state = self._function()
        of_batch = hessian_vector_product(function, variables, state)
        return self._mean(lambda batch: of_batch(vectors, *batch))

    def _function(self) -> tuple[Callable[..., Any], list[keras.Variable], list[keras.Variable]]:
        """Returns the loss of a batch, the variables it is differentiated by, and all that it reads."""
        _check_logits(self.model, self.temperature)
        own, there = in_precision(self.model, "float32")

        def outputs(inputs: Any, training: bool = False) -> Any:
            y = own(inputs, training=self.training)
            return y if self.temperature == 1 else tree.map_structure(lambda each: each / self.temperature, y)

        function = objective(self.model, self.loss, computing=outputs)
        return function, [there[id(variable)] for variable in self.variables], own.variables

    def _mean(self, of_batch: Callable[[Batch], list[Any]]) -> list[np.ndarray]:
        totals, number = [np.zeros(tuple(v.shape)) for v in self.variables], 0
        for batch in batches_for_loss(self.data, self.model, self.loss):
            for total, each in zip(totals, of_batch(batch), strict=True):
                total += batch.size * ops.convert_to_numpy(each)
            number += batch.size
        means = [total / number for total in totals]
        check_finite(self.variables, {id(v): each for v, each in zip(self.variables, means, strict=True)})
        return means


def _check_logits(model: keras.Model, temperature: float) -> None:
    """Checks that outputs may be divided: a softmax of logits/T is not the softmax of logits divided by T."""
    last = [maker(tensor) for tensor in functional(model).outputs] if temperature != 1 else []
    found = [layer.name for layer in last if _name(getattr(layer, "activation", layer)) in _SHARES]
    if found:
        raise PruneError(
            f"Expected logits beside temperature={temperature}. Received: {found[0]!r}, which puts out shares. Build "
            "the model with classifier_activation=None, and take a loss with from_logits=True."
        )


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__).lower()
