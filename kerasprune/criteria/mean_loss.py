"""The mean loss over data as a function of some weights: its gradient, its Hessian, example by example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import maker
from kerasprune.backend.derivatives import gradient, hessian_vector_product, per_example
from kerasprune.criteria.base import as_array
from kerasprune.criteria.batch_loss import batch_loss, batches_for_loss
from kerasprune.data.batches import Batch
from kerasprune.errors import PruneError, first_of, reason_of
from kerasprune.graph.built_model import body_of, fixed_batch, stateful_layers
from kerasprune.surgery.compute_dtype import in_precision

_SHARES = ("softmax", "sigmoid", "log_softmax")

Gradients = dict[int, np.ndarray]
"""`{id(variable): gradient}`."""


@dataclass(frozen=True)
class MeanLoss:
    """The mean loss of a model over data, its outputs divided by a temperature.

    Args:
        model: The model; it is left untouched.
        variables: The weights.
        data: Batches of `(inputs, labels)`, or with weights of the examples; read once for each derivative.
        loss: The loss as `compile` takes it; `None`: the compiled one.
        examples: Number of examples used, from the start of the data. Defaults to `None`: all.
        precision: `"float32"`, or `"float64"` on TensorFlow. Defaults to `"float32"`.
        training: Whether BatchNorm uses the statistics of the batch, and dropout is on. Defaults to `False`.
        temperature: Divisor of the outputs. Defaults to 1.
    """

    model: keras.Model
    variables: Sequence[keras.Variable]
    data: Any
    loss: Any
    examples: int | None = None
    precision: str = "float32"
    training: bool = False
    temperature: float = 1.0

    def gradient(self) -> Gradients:
        """Returns the gradient with respect to each variable.

        Returns:
            `{id(variable): gradient}`.

        Raises:
            PruneError: The loss is missing, data and model do not fit together, or a gradient is not finite.
        """
        of_batch = self.derivative(gradient)
        return self._mean(lambda batch: of_batch(*batch)[1])

    def hessian_times(self, vectors: Sequence[np.ndarray]) -> Gradients:
        """Returns the Hessian times vectors, one for each variable; raises as `gradient` does."""
        of_batch = self.derivative(hessian_vector_product)
        return self._mean(lambda batch: of_batch(vectors, *batch))

    def hessian_rows(self, most: int) -> Iterator[tuple[tuple[int, tuple[int, ...]], list[np.ndarray]]]:
        """Yields the rows of the Hessian, one for each weight.

        Args:
            most: Largest number of weights.

        Yields:
            The weight, `(number of the variable, index in it)`, and its row, in the shapes of the variables.

        Raises:
            PruneError: There are more weights than `most`.
        """
        number = sum(int(np.prod(variable.shape)) for variable in self.variables)
        if number > most:
            raise PruneError(
                f"Expected at most {most:,} weights for exact second derivatives. Received: {number:,} in "
                f"{self.model.name!r}. Use curvature='gauss_newton' or 'empirical_fisher', inverse='woodbury', or "
                "raise most."
            )
        product, read = self.derivative(hessian_vector_product), list(self.batches())
        examples = sum(batch.size for batch in read)
        for part, variable in enumerate(self.variables):
            for place in np.ndindex(*variable.shape):
                vectors = [np.zeros(each.shape) for each in self.variables]
                vectors[part][place] = 1
                rows = [
                    [batch.size / examples * as_array(each, "float64") for each in product(vectors, *batch)]
                    for batch in read
                ]
                yield (part, place), [sum(each) for each in zip(*rows, strict=True)]

    def each_gradient(self) -> Iterator[list[np.ndarray]]:
        """Yields the gradients of one example's loss after the other, one for each variable.

        Raises:
            PruneError: The loss is missing, data and model do not fit together, or a stateful layer takes no single
                examples.
        """
        fixed = fixed_batch(self.model)
        if fixed not in (None, 1) and (found := stateful_layers(self.model)):
            raise PruneError(
                f"Expected layers that take single examples, whose gradients are needed. Received: {found[0].name!r}, "
                f"which is stateful, of a batch of {fixed}. Choose criterion='taylor_fo', 'snip' or 'l1'."
            )
        of_batch, alone = self.derivative(gradient), False
        for batch in self.batches():
            with single_examples():
                for _, found in per_example(of_batch, *batch):
                    arrays = [ops.convert_to_numpy(each) for each in found]
                    alone = alone or _is_slope(arrays)
                    yield arrays
            if not alone and _is_slope([as_array(each, "float64") for each in of_batch(*batch)[1]]):
                raise _needs_batches("none with a gradient, other than the whole batch")

    def derivative(self, of: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `gradient` or `hessian_vector_product` of the loss of a batch."""
        _check_logits(self.model, self.temperature)
        own, there = in_precision(self.model, self.precision)

        def outputs(inputs: Any, training: bool = False) -> Any:
            y = own(inputs, training=self.training)
            return y if self.temperature == 1 else tree.map_structure(lambda each: each / self.temperature, y)

        function = batch_loss(self.model, self.loss, computing=outputs)
        return of(function, [there[id(variable)] for variable in self.variables], own.variables)

    def batches(self) -> Iterator[Batch]:
        """Yields the batches of the data."""
        return batches_for_loss(self.data, self.model, self.loss, self.examples)

    def _mean(self, of_batch: Callable[[Batch], list[Any]]) -> Gradients:
        """Returns the mean over all examples of a quantity that is a mean over each batch, summed in float64."""
        totals, number = [np.zeros(tuple(variable.shape)) for variable in self.variables], 0
        for batch in self.batches():
            for total, each in zip(totals, of_batch(batch), strict=True):
                total += batch.size * as_array(each, "float64")
            number += batch.size
        return finite(self.variables, [total / number for total in totals])


def _is_slope(arrays: Sequence[np.ndarray]) -> bool:
    """Returns whether gradients are finite and not all 0."""
    return all(np.isfinite(each).all() for each in arrays) and any(each.any() for each in arrays)


@contextmanager
def single_examples() -> Iterator[None]:
    """Raises a `PruneError` if a model or a loss does not take single examples while the block runs."""
    try:
        yield
    except PruneError:
        raise
    except Exception as error:  # whatever layers and losses raise
        raise _needs_batches(f"an error of one alone, {reason_of(str(error))}") from error


def _needs_batches(received: str) -> PruneError:
    return PruneError(
        "Expected examples whose gradients can be taken one by one. Received: "
        f"{received.removesuffix('.')}. The loss or the model needs whole batches, whose rows belong together. Choose "
        "criterion='taylor_fo', 'snip' or 'l1'."
    )


def finite(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> Gradients:
    """Returns `{id(variable): gradient}`; raises a `PruneError` if a gradient is not finite."""
    found = dict(zip(map(id, variables), arrays, strict=True))
    bad = [variable.path for variable in variables if not np.isfinite(found[id(variable)]).all()]
    if bad:
        raise PruneError(
            f"Expected finite gradients. Received: NaN or infinity by {first_of(bad)}. "
            "Check data and labels for NaN and for classes that the model does not have, and the weights: training "
            "may have diverged."
        )
    return found


def _check_logits(model: keras.Model, temperature: float) -> None:
    """Checks that the outputs to be divided are logits."""
    last = [maker(tensor) for tensor in body_of(model).outputs] if temperature != 1 else []
    ends = {layer.name: getattr(layer, "activation", layer) for layer in last}
    found = [name for name, end in ends.items() if getattr(end, "__name__", type(end).__name__).lower() in _SHARES]
    if found:
        raise PruneError(
            f"Expected logits for temperature={temperature}. Received: {found[0]!r}, which returns probabilities. "
            "Build the model with classifier_activation=None, and use a loss with from_logits=True."
        )
