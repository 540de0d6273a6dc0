"""A model by its name."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.errors import PruneError
from kerasprune.registry import models


def get(identifier: str | dict[str, Any] | keras.Model) -> keras.Model:
    """Returns the model that `identifier` stands for.

    Args:
        identifier: A name, a `{"name": …, **arguments}` dict, or a model, which is returned as it is.

    Returns:
        A functional model.

    Raises:
        PruneError: The name is unknown, the arguments do not fit, or it is none of the three.

    Example:
        >>> get({"name": "resnet_cifar", "depth": 32, "classes": 100}).output.shape
        (None, 100)
    """
    if not isinstance(identifier, str | dict | keras.Model):
        raise PruneError(
            "Expected the name of a model, a dict with a 'name', or a keras.Model. "
            f"Received: model={identifier!r}. Known names: {', '.join(models.names())}."
        )
    return models.get(identifier)
