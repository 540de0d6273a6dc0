"""The diagonal of the Hessian of the loss: exact, by Gauss–Newton, or by the empirical Fisher matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import call_operation
from kerasprune.backend.derivatives import gradient, hessian_vector_product, per_example
from kerasprune.backend.engine import full_precision
from kerasprune.checks import choice_faults, count_faults, whole_number_faults
from kerasprune.criteria.base import Checked, argument, as_array
from kerasprune.criteria.batch_loss import batches_for_loss, output_loss
from kerasprune.criteria.example_gradients import mean_squares
from kerasprune.criteria.mean_loss import Gradients, MeanLoss, finite, single_examples
from kerasprune.data.batches import Batch
from kerasprune.errors import PruneError
from kerasprune.registry import Registry
from kerasprune.surgery.compute_dtype import PRECISIONS, in_precision

_NOISE = 1e-6  # eigenvalues below it, relative to the largest, are rounding errors


class Curvature(Checked):
    """Base of the approximations of the diagonal of the Hessian of the mean loss."""

    def diagonal(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns `{id(variable): second derivatives, in its shape}`.

        Args:
            model: The model.
            variables: The variables to differentiate with respect to.
            data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
            loss: The loss as `compile` takes it; `None` for the compiled one.
            seed: Random seed.

        Raises:
            PruneError: The model is too large, or data, loss and model do not fit together.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ExactDiagonal(Curvature):
    """`h_kk = ∂²L/∂w_k²`, by one Hessian-vector product for each weight: for small networks.

    Args:
        most: Maximum number of weights. Defaults to 5,000.
        precision: `"float32"`, or `"float64"` on TensorFlow. Defaults to `"float32"`.
    """

    most: int = argument(5_000, partial(whole_number_faults, 1))
    precision: str = argument("float32", partial(choice_faults, PRECISIONS))

    def diagonal(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the diagonal of the Hessian; raises a `PruneError` if there are more weights than `most`."""
        diagonals = [np.zeros(variable.shape) for variable in variables]
        mean_loss = MeanLoss(model, variables, data, loss, precision=self.precision)
        for (part, place), row in mean_loss.hessian_rows(self.most):
            diagonals[part][place] = row[part][place]
        return finite(variables, diagonals)


@dataclass(frozen=True)
class EmpiricalFisher(Curvature):
    """`h_kk ≈ mean over examples of (∂L_i/∂w_k)²`: the diagonal of the empirical Fisher matrix.

    Args:
        examples: Number of examples used, from the start of the data; `None` for all. Defaults to 1,024.
    """

    examples: int | None = argument(1_024, count_faults)

    def diagonal(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the mean squares."""
        return mean_squares(model, variables, data, loss, self.examples)


@dataclass(frozen=True)
class GaussNewton(Curvature):
    """`h_kk ≈ mean over examples of (Jᵀ H_y J)_kk`: the Gauss–Newton diagonal.

    `H_y` is the Hessian of the loss with respect to the outputs y, J the Jacobian of y. With `H_y = S Sᵀ` and random
    signs ε for every example, `E[(Jᵀ S ε)_k²] = h_kk`; `samples=None` sums over all columns of S instead, which is
    exact. Models should output logits: the curvature of a softmax inside the model is ignored.

    Args:
        samples: Number of random draws per example; `None` for all columns, at the cost of one gradient per output.
            Defaults to 1.
        examples: Number of examples used, from the start of the data; `None` for all. Defaults to 1,024.
        most: Maximum number of outputs per example. Defaults to 2,048.

    Reference:
        LeCun, Denker and Solla, Optimal Brain Damage, NIPS 1989, section 3, whose back-propagated diagonal also
        ignores the off-diagonal terms of the layers in between.
    """

    samples: int | None = argument(1, count_faults)
    examples: int | None = argument(1_024, count_faults)
    most: int = argument(2_048, partial(whole_number_faults, 1))

    def diagonal(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the diagonal; raises a `PruneError` if one example has more outputs than `most`."""
        own, there = in_precision(model, "float32")
        roots = _Roots(own, output_loss(model, loss), self.most)
        slope = gradient(_along_outputs(own), [there[id(each)] for each in variables], own.variables)
        generator = np.random.default_rng(seed)
        totals, number = [np.zeros(variable.shape) for variable in variables], 0
        for batch in batches_for_loss(data, model, loss, self.examples):
            for direction, share in self._directions(roots.of(batch), generator):
                with single_examples():
                    for _, found in per_example(slope, batch.inputs, direction):
                        for total, each in zip(totals, found, strict=True):
                            total += share * as_array(each, "float64") ** 2
            number += batch.size
        return finite(variables, [total / number for total in totals])

    def _directions(self, roots: np.ndarray, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, float]]:
        """Yields directions in output space, of shape `(examples, outputs)`, each with its weight."""
        if self.samples is None:
            yield from ((roots[:, :, k], 1.0) for k in range(roots.shape[2]))
            return
        for _ in range(self.samples):
            signs = generator.choice([-1.0, 1.0], roots.shape[:2])
            yield np.einsum("bkl,bl->bk", roots, signs), 1 / self.samples


class _Roots:
    """Symmetric roots S of the Hessian with respect to the outputs, `S S = ∂²L_i/∂y_i²` for every example.

    Args:
        model: The model that computes.
        loss: `(outputs, labels, weights) → mean loss`.
        most: Largest number of outputs of one example.
    """

    def __init__(self, model: keras.Model, loss: Any, most: int) -> None:
        self._model, self._loss, self._most = model, loss, most
        self._products: dict[Any, Any] = {}

    @full_precision()
    def of(self, batch: Batch) -> np.ndarray:
        """Returns the roots for the examples of a batch, `(examples, outputs, outputs)`."""
        outputs = tree.map_structure(ops.convert_to_numpy, call_operation(self._model, batch.inputs, training=False))
        flat = np.concatenate([np.reshape(y, (batch.size, -1)) for y in tree.flatten(outputs)], axis=1)
        size = flat.shape[1]
        if size > self._most:
            raise PruneError(
                f"Expected at most {self._most} outputs of one example, for Gauss–Newton. Received: {size}. Use "
                "curvature='empirical_fisher', or raise most."
            )
        product = self._product(outputs, flat)
        units = (np.tile(unit, (batch.size, 1)) for unit in np.eye(size, dtype=flat.dtype))
        columns = [ops.convert_to_numpy(product([unit], batch.labels, batch.weights)[0]) for unit in units]
        values, vectors = np.linalg.eigh(np.stack(columns, axis=2).astype("float64"))
        values = np.where(values > _NOISE * values.max(axis=1, keepdims=True), values, 0.0)
        return np.einsum("bik,bk,bjk->bij", vectors, np.sqrt(values), vectors)

    def _product(self, outputs: Any, flat: np.ndarray) -> Any:
        """Returns the Hessian-vector product at these outputs."""
        if flat.shape not in self._products:
            shapes = [np.shape(y) for y in tree.flatten(outputs)]
            ends = np.cumsum([0, *(int(np.prod(shape[1:])) for shape in shapes)])
            point = keras.Variable(flat, dtype="float32")

            def total(labels: Any, weights: Any) -> Any:
                whole = ops.convert_to_tensor(point)
                parts = [whole[:, start:stop] for start, stop in pairwise(ends)]
                tensors = [ops.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
                return len(flat) * self._loss(tree.pack_sequence_as(outputs, tensors), labels, weights)

            self._products[flat.shape] = point, hessian_vector_product(total, [point])
        point, product = self._products[flat.shape]
        point.assign(flat)
        return product


def _along_outputs(model: keras.Model) -> Any:
    """Returns `(inputs, direction) → outputs · direction`, all outputs of an example in one row."""

    def along(inputs: Any, direction: Any) -> Any:
        outputs = tree.flatten(call_operation(model, inputs, training=False))
        flat = ops.concatenate([ops.reshape(y, (ops.shape(direction)[0], -1)) for y in outputs], axis=1)
        return ops.sum(ops.cast(flat, "float32") * ops.cast(direction, "float32"))

    return along


curvatures = Registry(
    "curvature",
    {"empirical_fisher": EmpiricalFisher, "exact": ExactDiagonal, "gauss_newton": GaussNewton},
    base="kerasprune.criteria.curvature:Curvature",
)
