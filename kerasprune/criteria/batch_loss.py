"""The loss of a model on a batch as a differentiable function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops, tree

from kerasprune._keras import call_operation, compile_arguments, loss_object, mask_of
from kerasprune.criteria.labels import check_labels, check_shape, labels_by_output
from kerasprune.criteria.row_order import order_matters
from kerasprune.data.batches import Batch, batches
from kerasprune.errors import Key, PruneError
from kerasprune.surgery.output_kind import by_output, output_names, pick_by_output, warn_of_logits

BatchLoss = Callable[[Any, Any, Any], Any]
"""`(inputs, labels, weights) → mean loss`, a scalar tensor."""

OutputLoss = Callable[[Any, Any, Any], Any]
"""`(outputs, labels, weights) → mean loss`."""


def batch_loss(model: keras.Model, loss: Any = None, *, computing: Callable[..., Any] | None = None) -> BatchLoss:
    """Returns the mean loss over the examples of a batch, without penalties on weights, as evaluation computes it.

    BatchNorm uses its moving statistics and dropout is off.

    Args:
        model: The model.
        loss: A loss as `compile` takes it: a name, a function, an object, or these by output. Defaults to the one that
            the model is compiled with, with its weights.
        computing: The model that is called, such as a copy in another precision. Defaults to the model.

    Raises:
        PruneError: The loss is missing, or names unknown outputs.

    Example:
        >>> import keras
        >>> from keras import ops
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> mean = batch_loss(model, "mse")
        >>> float(mean(ops.ones((4, 2)), ops.zeros((4, 1)), None))
        4.0
    """
    of_outputs = output_loss(model, loss)
    computing = model if computing is None else computing

    def mean_loss(inputs: Any, labels: Any, weights: Any = None) -> Any:
        return of_outputs(call_operation(computing, inputs, training=False), labels, weights)

    return mean_loss


def output_loss(model: keras.Model, loss: Any = None) -> OutputLoss:
    """Returns the mean loss as a function of the model's outputs."""
    names = output_names(model)
    losses, scales = losses_by_output(model, loss)

    def mean_loss(outputs: Any, labels: Any, weights: Any = None) -> Any:
        predicted = tree.flatten(outputs)
        answers, shares = labels_by_output(labels, names), pick_by_output(weights, names, "sample weights")
        total = 0.0
        for name, y in zip(names, predicted, strict=True):
            if losses[name] is not None:
                scale = 1.0 if scales[name] is None else scales[name]
                total = total + scale * _mean(losses[name], answers[name], y, shares[name])
        return total

    return mean_loss


def losses_by_output(model: keras.Model, loss: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the loss of each output and its weight, by the names of the outputs.

    Warns if a loss expects probabilities and the model outputs logits.

    Args:
        model: The model.
        loss: As for `batch_loss`.

    Raises:
        PruneError: The loss is missing, or names unknown outputs.
    """
    losses, factors = _by_output(model, loss)
    warn_of_logits(model, losses)
    return losses, factors


def batches_for_loss(data: Any, model: keras.Model, loss: Any = None, most: int | None = None) -> Iterator[Batch]:
    """Yields the batches of a data set, with labels checked against the loss.

    Args:
        data: As for `batches`.
        model: The model.
        loss: As for `batch_loss`.
        most: Largest number of examples; the last batch is cut, unless its loss depends on the order of rows. Defaults
            to `None`: all.

    Raises:
        PruneError: As for `batches`, or labels do not fit the loss.
    """
    losses, _ = _by_output(model, loss)
    for batch in batches(data, model, most, lambda batch: order_matters(batch_loss(model, loss), batch)):
        check_labels(model, losses, batch.labels)
        yield batch


def _by_output(model: keras.Model, loss: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    names = output_names(model)
    compiled = compile_arguments(model) if model.compiled else {}
    own, factors = compiled.get("loss"), None
    if loss is None or loss == own:  # the model's loss may be a copy
        loss, factors = own, compiled.get("loss_weights")
    if loss is None or isinstance(loss, list | dict) and not any(x is not None for x in tree.flatten(loss)):
        raise PruneError(
            f"Expected a loss to differentiate. Received: loss=None, and {model.name!r} is not compiled with one. "
            "Give ",
            Key("loss"),
            "=, such as 'sparse_categorical_crossentropy', or compile the model.",
        )
    if len(names) == 1:  # of a list the first counts, as Keras trains and evaluates
        loss, factors = (x[0] if isinstance(x, list | tuple) and x else x for x in (loss, factors))
    return by_output(loss, names), by_output(factors, names, "a weight")


def _mean(loss: Any, labels: Any, outputs: Any, weights: Any) -> Any:
    """Returns the mean over examples and positions, in the precision of the outputs, but at least in float32.

    Losses are computed element by element, since their own mean is always in float32.
    """
    mask = mask_of(outputs)
    precision = outputs.dtype if keras.backend.standardize_dtype(outputs.dtype) == "float64" else "float32"
    if (
        keras.backend.standardize_dtype(outputs.dtype) != precision
    ):  # a copy of a softmax's outputs would lose their logits
        outputs = ops.cast(outputs, precision)
    judge = loss_object(loss, labels, outputs)
    check_shape(judge, labels, outputs)
    each = judge.call(ops.cast(labels, precision), outputs)
    share = None if weights is None else ops.cast(weights, each.dtype)
    if mask is not None and len(each.shape) in (0, len(mask.shape)):
        mask = ops.cast(mask, each.dtype)
        mask = mask / ops.maximum(ops.mean(mask), 1e-7)
        share = mask if share is None else mask * _as_wide(share, mask)
    return ops.mean(each if share is None else each * _as_wide(share, each))


def _as_wide(weights: Any, values: Any) -> Any:
    """Returns weights of examples with the axes of the values; those of one value, a mean of its own, as they are."""
    if not len(values.shape):  # a TensorShape is always true
        return weights
    extra = len(values.shape) - len(weights.shape)
    if extra < 0:
        return ops.reshape(weights, values.shape)
    return ops.reshape(weights, (*weights.shape, *(1,) * extra)) if extra else weights
