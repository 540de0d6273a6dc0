"""Label smoothing for sparse and one-hot labels."""

from __future__ import annotations

from typing import Any

import keras
from keras import losses, ops

from kerasprune.errors import PruneError, short
from kerasprune.surgery.output_kind import as_object


class SmoothedSparseCategoricalCrossentropy(losses.SparseCategoricalCrossentropy):
    """`(1 − ε) · −log p_y + ε · mean_k −log p_k` for the class y; Keras supports it for one-hot labels only.

    Args:
        label_smoothing: ε, from 0 to below 1.
        from_logits: `False` for probabilities. Defaults to `False`, as in Keras.
        **settings: As of `keras.losses.SparseCategoricalCrossentropy`, but for `ignore_class`.

    Example:
        >>> import numpy as np
        >>> loss = SmoothedSparseCategoricalCrossentropy(0.1, from_logits=True)
        >>> round(float(loss(np.array([0]), np.array([[2.0, 0.0]]))), 4)  # 0.1269 without smoothing
        0.2269

    Reference:
        Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv 1512.00567, §7.
    """

    def __init__(self, label_smoothing: float, from_logits: bool = False, **settings: Any) -> None:
        super().__init__(from_logits=from_logits, **settings)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one number per sample and position."""
        classes, y_pred = ops.cast(y_true, "int32"), ops.convert_to_tensor(y_pred)
        if len(classes.shape) == len(y_pred.shape):
            classes = ops.squeeze(classes, -1)
        labels = ops.one_hot(classes, y_pred.shape[-1], dtype=y_pred.dtype)
        return losses.categorical_crossentropy(labels, y_pred, self.from_logits, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return super().get_config() | {"label_smoothing": self.label_smoothing}


def smooth_labels(loss: Any, label_smoothing: float) -> Any:
    """Returns the same cross-entropy with smoothed labels.

    Args:
        loss: A cross-entropy of classes of Keras, an object or a name; or a nest of these by output, `None` for one
            without a loss.
        label_smoothing: ε, from 0 to below 1.

    Raises:
        PruneError: The loss is not a cross-entropy of classes.

    Example:
        >>> smooth_labels("categorical_crossentropy", 0.1).label_smoothing
        0.1
    """
    return keras.tree.map_structure(lambda each: each and _smoothed(losses.get(each), label_smoothing), loss)


def _smoothed(loss: Any, label_smoothing: float) -> losses.Loss:
    made = as_object(loss)
    config = made.get_config() if isinstance(made, losses.Loss) else {}
    if type(made) is losses.CategoricalCrossentropy:
        return losses.CategoricalCrossentropy(**config | {"label_smoothing": label_smoothing})
    if type(made) is losses.SparseCategoricalCrossentropy and config.pop("ignore_class", None) is None:
        return SmoothedSparseCategoricalCrossentropy(label_smoothing, **config)
    name = getattr(loss, "__name__", None) or getattr(loss, "name", None) or short(loss)
    raise PruneError(
        "Expected a cross-entropy of classes with label_smoothing: SparseCategoricalCrossentropy without "
        f"ignore_class, or CategoricalCrossentropy. Received: loss={name}, "
        f"label_smoothing={label_smoothing}."
    )
