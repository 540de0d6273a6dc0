"""Loss and error of a model at other weights than its own, which are left untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import call_operation
from kerasprune.backend.engine import full_precision
from kerasprune.criteria.batch_loss import batches_for_loss, output_loss
from kerasprune.data.batches import example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import check_finite_weights, values
from kerasprune.repair.reconstruction.recalibrate import take_statistics, trainable_norms

Weights = list[np.ndarray]
"""The values of `model.weights`, in order."""


def weights_of(model: keras.Model) -> Weights:
    """Returns copies of all weights of a model."""
    return [np.array(values(variable)) for variable in model.weights]


def check_alike(*models: keras.Model) -> None:
    """Raises a `PruneError` if the weights of models are not finite, or differ in number or shape."""
    for model in models:
        check_finite_weights(model)
    first, *others = [[tuple(variable.shape) for variable in model.weights] for model in models]
    for model, shapes in zip(models[1:], others, strict=True):
        if shapes != first:
            differing = [pair for pair in zip(first, shapes, strict=False) if pair[0] != pair[1]]
            raise PruneError(
                f"Expected models of one architecture, with weights of the same shapes in the same order. Received: "
                f"{model.name!r} with {len(shapes)} weights, {models[0].name!r} with {len(first)}; first pair that "
                f"differs: {differing[:1]}. Build both with one function."
            )


def combine_weights(weights: Sequence[Weights], shares: Sequence[float]) -> Weights:
    """Returns `Σ share · W` over several weights of one architecture; integers are those of the first."""
    return [
        sum(share * each.astype("float64") for share, each in zip(shares, arrays, strict=True)).astype(arrays[0].dtype)
        if np.issubdtype(arrays[0].dtype, np.floating) or arrays[0].dtype.name == "bfloat16"
        else arrays[0]
        for arrays in zip(*weights, strict=True)
    ]


class WeightsJudge:
    """Mean loss and error of a model over data as a function of its weights.

    Args:
        model: The model; it is left untouched.
        data: Labelled examples, as for `kp.criteria.score`.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        recalibrate: Examples for the statistics of BatchNorm, or `None` if they are not retaken.
    """

    def __init__(self, model: keras.Model, data: Any, loss: Any = None, recalibrate: Any = None) -> None:
        check_finite_weights(model)
        self._model, self._loss = model, output_loss(model, loss)
        self._batches = list(batches_for_loss(data, model, loss))
        self._examples = None if recalibrate is None else example_batches(model, recalibrate, SAMPLES)

    @full_precision()
    def at(self, weights: Weights, *, own_statistics: bool = False) -> tuple[float, float]:
        """Returns loss and error at some weights; `own_statistics`: those of BatchNorm are not recomputed."""
        given = [ops.convert_to_tensor(each) for each in weights]
        with keras.StatelessScope(list(zip(self._model.weights, given, strict=True))):
            if self._examples is not None and not own_statistics:
                take_statistics(body_of(self._model), self._examples)
            sums = np.zeros(2)
            for batch in self._batches:
                outputs = call_operation(self._model, batch.inputs, training=False)
                loss = float(self._loss(outputs, batch.labels, batch.weights))
                wrong = _wrong(tree.flatten(outputs), tree.flatten(batch.labels))
                sums += batch.size * np.array([loss, loss if wrong is None else wrong])
        loss, error = sums / sum(batch.size for batch in self._batches)
        return float(loss), float(error)


def check_statistics(model: keras.Model, recalibrate: Any) -> Any:
    """Returns the examples for BatchNorm: `None` without BatchNorm; raises if they are missing."""
    if not trainable_norms(model):
        return None
    if recalibrate is None:
        raise PruneError(
            f"Expected examples for the statistics of BatchNorm between models. Received: recalibrate=None, and "
            f"{model.name!r} has BatchNorm. Give recalibrate=training examples, not those that are judged."
        )
    return recalibrate


def _wrong(outputs: list[Any], labels: list[Any]) -> float | None:
    """Returns the fraction of wrong classes; `None` if the outputs are not scores of classes."""
    if len(outputs) != 1 or len(labels) != 1 or outputs[0].shape[-1] < 2:
        return None
    scores, label = (np.asarray(ops.convert_to_numpy(each)) for each in (outputs[0], labels[0]))
    if label.shape == scores.shape:
        if not (np.isin(label, (0, 1)).all() and (label.sum(axis=-1) == 1).all()):
            return None
        label = label.argmax(axis=-1)
    elif label.size * scores.shape[-1] != scores.size:
        return None
    return float((scores.argmax(axis=-1).ravel() != label.ravel()).mean())
