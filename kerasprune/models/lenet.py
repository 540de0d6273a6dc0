"""The two LeNets of the pruning papers: two hidden dense layers, and Caffe's version of LeNet-5."""

from __future__ import annotations

import keras

from kerasprune.models import arguments
from kerasprune.models.parts import Parts

SMALLEST_SIDE = 16


def lenet_300_100(
    classes: int = 10, input_shape: arguments.InputShape = (28, 28, 1), seed: int | None = None
) -> keras.Model:
    """Builds the dense network with hidden layers of 300 and 100 units and ReLU.

    Args:
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`, all given: the pixels are the inputs of a dense layer.
            Defaults to `(28, 28, 1)`.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> lenet_300_100().count_params()
        266610

    Reference:
        LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998.
    """
    faults = arguments.fixed_side_faults(input_shape)
    images = arguments.checked_images("lenet_300_100", classes, input_shape, seed, faults)
    parts = Parts(seed)
    x = keras.layers.Flatten(name="flat")(images)
    x = parts.dense_relu(x, 300, "dense1")
    x = parts.dense_relu(x, 100, "dense2")
    return parts.classified(images, x, classes, "lenet_300_100")


def lenet_5(classes: int = 10, input_shape: arguments.InputShape = (28, 28, 1), seed: int | None = None) -> keras.Model:
    """Builds Caffe's LeNet-5: 5×5 convolutions of 20 and 50 channels, a hidden dense layer of 500 units.

    As in Caffe, the only ReLU follows the hidden layer; after the convolutions, max pooling is the non-linearity.

    Args:
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`, all given, the sides at least 16 pixels. Defaults to
            `(28, 28, 1)`.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> lenet_5().count_params()
        431080

    Reference:
        Han et al., Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015.
    """
    faults = arguments.fixed_side_faults(input_shape)
    x = images = arguments.checked_images("lenet_5", classes, input_shape, seed, faults, smallest_side=SMALLEST_SIDE)
    parts = Parts(seed)
    for number, filters in enumerate((20, 50), start=1):
        name = f"conv{number}"
        x = keras.layers.Conv2D(filters, 5, kernel_initializer=parts.initializer(name), name=name)(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = parts.dense_relu(keras.layers.Flatten(name="flat")(x), 500, "dense1")
    return parts.classified(images, x, classes, "lenet_5")
