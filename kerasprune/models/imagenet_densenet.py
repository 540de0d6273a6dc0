"""DenseNet-121, the body of `keras.applications` with a classifier of its own."""

from __future__ import annotations

import keras

from kerasprune.models import arguments
from kerasprune.models.keras_applications import from_application


def densenet121(
    classes: int = 1000,
    input_shape: arguments.InputShape = (None, None, 3),
    seed: int | None = None,
) -> keras.Model:
    """Builds a DenseNet-121: layers, names, initialisers and BatchNorm settings of `keras.applications`.

    Args:
        classes: Number of logits. Defaults to 1000.
        input_shape: `(height, width, channels)`; the sides, at least 32 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        seed: Makes the initial weights repeatable. Defaults to `None`: fresh ones.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Raises:
        PruneError: An argument is out of its range.

    Example:
        >>> densenet121(10).output.shape
        (None, 10)

    Reference:
        Huang et al., Densely Connected Convolutional Networks, CVPR 2017.
    """
    return from_application(
        keras.applications.DenseNet121,
        name="densenet121",
        classes=classes,
        input_shape=input_shape,
        seed=seed,
    )
