"""EfficientNet-B0, the body of `keras.applications` with a classifier of its own."""

from __future__ import annotations

import keras

from kerasprune.models import arguments
from kerasprune.models.keras_applications import from_application


def efficientnet_b0(
    classes: int = 1000,
    input_shape: arguments.InputShape = (None, None, 3),
    dropout: float = 0.2,
    seed: int | None = None,
) -> keras.Model:
    """Builds an EfficientNet-B0 without the rescaling at the input.

    Layers, names, initialisers and BatchNorm settings are those of `keras.applications`; images are expected
    as for every other family here, standardised rather than in 0…255.

    Args:
        classes: Number of logits. Defaults to 1000.
        input_shape: `(height, width, channels)`; the sides, at least 32 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        dropout: Fraction of the last channels that training drops, in [0, 1). Defaults to 0.2.
        seed: Makes the initial weights repeatable. Defaults to `None`: fresh ones.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Raises:
        PruneError: An argument is out of its range.

    Example:
        >>> efficientnet_b0(10).output.shape
        (None, 10)

    Reference:
        Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019.
    """
    return from_application(
        keras.applications.EfficientNetB0,
        name="efficientnet_b0",
        classes=classes,
        input_shape=input_shape,
        dropout=dropout,
        seed=seed,
    )
