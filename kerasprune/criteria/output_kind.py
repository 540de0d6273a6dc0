"""What a loss takes the outputs of a model for: probabilities or logits, of classes or each for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import activations, layers, losses

from kerasprune._keras import maker
from kerasprune.criteria.by_name import output_names
from kerasprune.errors import warn
from kerasprune.graph.walk import functional

_CLASSES = {
    losses.sparse_categorical_crossentropy: losses.SparseCategoricalCrossentropy,
    losses.categorical_crossentropy: losses.CategoricalCrossentropy,
    losses.categorical_focal_crossentropy: losses.CategoricalFocalCrossentropy,
    losses.binary_crossentropy: losses.BinaryCrossentropy,
    losses.binary_focal_crossentropy: losses.BinaryFocalCrossentropy,
}
_KINDS = {  # what they take: probabilities, or logits
    losses.SparseCategoricalCrossentropy: ("softmax", "logits"),
    losses.CategoricalCrossentropy: ("softmax", "logits"),
    losses.CategoricalFocalCrossentropy: ("softmax", "logits"),
    losses.BinaryCrossentropy: ("sigmoid", "binary_logits"),
    losses.BinaryFocalCrossentropy: ("sigmoid", "binary_logits"),
}
_UNBOUNDED = (layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.BatchNormalization)


def as_object(loss: Any) -> Any:
    """Returns a cross-entropy that is given by name or as a function as an object, anything else as it is."""
    loss = losses.get(loss) if isinstance(loss, str) else loss
    return _CLASSES[loss]() if callable(loss) and loss in _CLASSES else loss


def kind_by_loss(loss: Any) -> str | None:
    """Returns `"softmax"`, `"logits"`, `"sigmoid"` or `"binary_logits"` for a cross-entropy, `None` for other losses.

    Args:
        loss: A loss of one output as `compile` takes it.

    Example:
        >>> import keras
        >>> kind_by_loss("binary_crossentropy"), kind_by_loss(keras.losses.BinaryCrossentropy(from_logits=True))
        ('sigmoid', 'binary_logits')
    """
    loss = as_object(loss)
    for kind, names in _KINDS.items():
        if isinstance(loss, kind):
            return names[bool(loss.get_config().get("from_logits"))]
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
            warn(
                f"Expected probabilities for the loss {_name(losses_of[name])!r}. Received: {last.name!r}, a layer "
                f"without an activation, whose outputs are logits. They are cut off at 0 and 1, and hardly anything is "
                f"learnt of them: take keras.losses.{type(as_object(losses_of[name])).__name__}(from_logits=True)."
            )


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else getattr(loss, "__name__", None) or loss.name
