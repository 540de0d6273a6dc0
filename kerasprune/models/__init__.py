"""Model families to prune: plain functional Keras models that output logits, found by name."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.models.resnet_cifar import resnet_cifar
from kerasprune.registry import Registry

registry = Registry("model")
registry.add("resnet_cifar")(resnet_cifar)


def names() -> list[str]:
    """Returns the names of the model families, sorted."""
    return registry.names()


def get(identifier: str | dict[str, Any] | keras.Model) -> keras.Model:
    """Returns the model for a name, a `{"name": …, **arguments}` dict, or a model, which passes through."""
    return registry.get(identifier)
