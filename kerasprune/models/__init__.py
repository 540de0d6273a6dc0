"""Model families to prune: plain functional Keras models that output logits, found by name.

Every factory takes `classes`, `input_shape` (sides may be `None` where the architecture allows it) and
`seed`, and names every layer itself, so that the groups of a saved plan keep their names.
"""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.errors import PruneError
from kerasprune.models.cifar_densenet import densenet_cifar
from kerasprune.models.cifar_resnet import resnet_cifar
from kerasprune.models.cifar_vgg import vgg_cifar
from kerasprune.models.cifar_wide_resnet import wide_resnet
from kerasprune.models.efficientnet import efficientnet_b0
from kerasprune.models.imagenet_densenet import densenet121
from kerasprune.models.imagenet_resnet import resnet_imagenet
from kerasprune.models.lenet import lenet_5, lenet_300_100
from kerasprune.models.mobilenet import mobilenet_v2
from kerasprune.registry import Registry

__all__ = [
    "densenet121",
    "densenet_cifar",
    "efficientnet_b0",
    "get",
    "lenet_300_100",
    "lenet_5",
    "mobilenet_v2",
    "names",
    "registry",
    "resnet_cifar",
    "resnet_imagenet",
    "vgg_cifar",
    "wide_resnet",
]

registry = Registry("model")
registry.add("densenet121")(densenet121)
registry.add("densenet_cifar")(densenet_cifar)
registry.add("efficientnet_b0")(efficientnet_b0)
registry.add("lenet_300_100")(lenet_300_100)
registry.add("lenet_5")(lenet_5)
registry.add("mobilenet_v2")(mobilenet_v2)
registry.add("resnet_cifar")(resnet_cifar)
registry.add("resnet_imagenet")(resnet_imagenet)
registry.add("vgg_cifar")(vgg_cifar)
registry.add("wide_resnet")(wide_resnet)


def names() -> list[str]:
    """Returns the names of the model families, sorted.

    Returns:
        The names that `get` knows.

    Example:
        >>> names()[:2]
        ['densenet121', 'densenet_cifar']
    """
    return registry.names()


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
            f"Received: model={identifier!r}. Known names: {', '.join(names())}."
        )
    return registry.get(identifier)
