"""What a loss takes the outputs of a model for: probabilities or logits, of classes or each for itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
from keras import activations, layers, losses

from kerasprune._keras import maker
from kerasprune.criteria.by_name import output_names
from kerasprune.graph.walk import functional

_CROSS_ENTROPIES = {  # the function and the class; what they take, probabilities or logits
    (losses.sparse_categorical_crossentropy, losses.SparseCategoricalCrossentropy): ("softmax", "logits"),
    (losses.categorical_crossentropy, losses.CategoricalCrossentropy): ("softmax", "logits"),
    (losses.categorical_focal_crossentropy, losses.CategoricalFocalCrossentropy): ("softmax", "logits"),
    (losses.binary_crossentropy, losses.BinaryCrossentropy): ("sigmoid", "binary_logits"),
    (losses.binary_focal_crossentropy, losses.BinaryFocalCrossentropy): ("sigmoid", "binary_logits"),
}
_UNBOUNDED = (layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.BatchNormalization)


def kind_by_loss(loss: Any) -> str | None:
    """Returns `"softmax"`, `"logits"`, `"sigmoid"` or `"binary_logits"` for a cross-entropy, `None` for other losses.

    Args:
        loss: A loss of one output as `compile` takes it.

    Example:
        >>> import keras
        >>> kind_by_loss("binary_crossentropy"), kind_by_loss(keras.losses.BinaryCrossentropy(from_logits=True))
        ('sigmoid', 'binary_logits')
    """
    loss = losses.get(loss) if isinstance(loss, str) else loss
    for (function, kind), (of_probabilities, of_logits) in _CROSS_ENTROPIES.items():
        if loss is function:
            return of_probabilities
        if isinstance(loss, kind):
            return of_logits if loss.get_config().get("from_logits") else of_probabilities
    return None


def warn_of_logits(model: keras.Model, losses_of: Mapping[str, Any]) -> None:
    """Warns where a loss takes probabilities, and a layer without an activation makes them.

    Args:
        model: The model.
        losses_of: The loss of each output, by its name.
    """
    body = functional(model)
    for name, tensor in zip(output_names(model), body.outputs, strict=True):
        last = maker(tensor)
        linear = isinstance(last, _UNBOUNDED) and getattr(last, "activation", None) in (None, activations.linear)
        if linear and kind_by_loss(losses_of[name]) in ("softmax", "sigmoid"):
            warnings.warn(
                f"Expected probabilities for the loss {_name(losses_of[name])!r}. Received: {last.name!r}, a layer "
                f"without an activation, whose outputs are logits. They are cut off at 0 and 1, and hardly anything is "
                f"learnt of them: take keras.losses.{_with_logits(losses_of[name])}(from_logits=True).",
                stacklevel=4,
            )


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else getattr(loss, "__name__", None) or loss.name


def _with_logits(loss: Any) -> str:
    """Returns the name of the class whose `from_logits` can be set."""
    loss = losses.get(loss) if isinstance(loss, str) else loss
    return next((kind for function, kind in _CROSS_ENTROPIES if loss is function), type(loss)).__name__
