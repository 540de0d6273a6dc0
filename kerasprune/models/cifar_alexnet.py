"""AlexNet for small images: five strided convolutions and three dense layers."""

from __future__ import annotations

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.models import arguments
from kerasprune.models.parts import Parts

# Channels and side of the kernel of each convolution.
CONVOLUTIONS = ((96, 11), (256, 5), (384, 3), (384, 3), (256, 3))


def alexnet_cifar(
    units: int = 1024,
    classes: int = 10,
    input_shape: arguments.InputShape = (None, None, 3),
    seed: int | None = None,
) -> keras.Model:
    """Builds an AlexNet as SNIP does: `relu(bn(conv(x)))` five times, two hidden dense layers, biases everywhere.

    Channels and kernels are AlexNet's. Each convolution halves the side, so that a 32×32 image ends as one pixel; the
    hidden dense layers have BatchNorm and ReLU, and no dropout.

    Args:
        units: Units of each hidden dense layer: 1024 is AlexNet-s, 2048 AlexNet-b. Defaults to 1024.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides may be `None`. Defaults to `(None, None, 3)`.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> alexnet_cifar(units=16).get_layer("conv5").output.shape[-1]
        256

    Reference:
        Lee et al., SNIP: Single-Shot Network Pruning Based on Connection Sensitivity, ICLR 2019, table 2.
    """
    faults = whole_number_faults(1, units=units)
    x = images = arguments.checked_images("alexnet_cifar", classes, input_shape, seed, faults)
    parts = Parts(seed, bias=True)
    for number, (filters, side) in enumerate(CONVOLUTIONS, start=1):
        name = f"conv{number}"
        x = parts.activated(parts.convolution(x, filters, side, name, strides=2), name)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    for number in (1, 2):
        x = parts.dense_unit(x, units, f"hidden{number}")
    return parts.classified(images, x, classes, "alexnet_cifar")
