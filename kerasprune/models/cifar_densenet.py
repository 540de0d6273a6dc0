"""Densely connected networks for small images: three dense blocks, each layer adds `growth` channels."""

from __future__ import annotations

import keras

from kerasprune.checks import fraction_faults, given_values, whole_number_faults
from kerasprune.models import arguments
from kerasprune.models.parts import Parts

DENSE_BLOCKS = 3
STEM_CHANNELS = 16
SMALLEST_SIDE = 4


def densenet_cifar(
    depth: int = 40,
    classes: int = 10,
    input_shape: arguments.InputShape = (None, None, 3),
    growth: int = 12,
    bottleneck: int | None = None,
    compression: float = 1.0,
    stem: int | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds a CIFAR DenseNet.

    A layer computes `concatenate(x, conv(relu(bn(x))))`. Between the blocks a transition `pool(conv1×1(relu(bn(x))))`
    keeps the fraction `compression` of the channels and halves the side. DenseNet-BC is `bottleneck=4,
    compression=0.5`. BatchNorm has momentum 0.9 and epsilon 1e-5; convolutions have no bias.

    Args:
        depth: Number of layers with weights, 3n + 4: 40, 100, …; with a bottleneck 6n + 4. Defaults to 40.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides, at least 4 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        growth: Channels that each layer adds (k in the paper). Defaults to 12.
        bottleneck: Channels of a 1×1 convolution before each 3×3 one, as a multiple of `growth`; the paper uses 4.
            Defaults to `None`: no such convolution.
        compression: Fraction of the channels that a transition keeps, in (0, 1]. Defaults to 1.0.
        stem: Channels of the first convolution. Network slimming and HRank use `2 · growth` for DenseNet-40 too.
            Defaults to `None`, as in the paper: 16, or `2 · growth` in DenseNet-BC.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> densenet_cifar(40, growth=12).get_layer("block3_layer12_concat").output.shape
        (None, None, None, 448)

    Reference:
        Huang et al., Densely Connected Convolutional Networks, CVPR 2017.
    """
    rule, step = ("3n + 4", 3) if bottleneck is None else ("6n + 4", 6)
    faults = arguments.depth_faults(depth, rule, range(4 + step, 4 + 400 * step, step))
    faults += whole_number_faults(1, growth=growth, **given_values(bottleneck=bottleneck, stem=stem))
    faults += fraction_faults(compression=compression)
    x = images = arguments.checked_images(
        "densenet_cifar", classes, input_shape, seed, faults, smallest_side=SMALLEST_SIDE
    )
    parts = Parts(seed)
    channels = (STEM_CHANNELS if bottleneck is None or compression == 1 else 2 * growth) if stem is None else stem
    x = parts.convolution(x, channels, 3, "stem_conv")
    for block in range(1, DENSE_BLOCKS + 1):
        if block > 1:
            name = f"transition{block - 1}"
            x = _preactivated(parts, x, max(1, int(x.shape[-1] * compression)), 1, name)
            x = keras.layers.AveragePooling2D(2, name=f"{name}_pool")(x)
        for layer in range(1, (depth - 4) // step + 1):
            name, new = f"block{block}_layer{layer}", x
            if bottleneck is not None:
                new = _preactivated(parts, new, bottleneck * growth, 1, f"{name}_bottleneck")
            new = _preactivated(parts, new, growth, 3, name)
            x = keras.layers.Concatenate(name=f"{name}_concat")([x, new])
    return parts.pooled(images, parts.activated(x, "head"), classes, f"densenet_cifar_{depth}")


def _preactivated(parts: Parts, x: keras.KerasTensor, filters: int, kernel: int, name: str) -> keras.KerasTensor:
    return parts.convolution(parts.activated(x, name), filters, kernel, f"{name}_conv")
