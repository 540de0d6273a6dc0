"""VGG for small images: a stack of 3×3 convolutions with BatchNorm, one to three dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasprune.checks import choice_faults, positive_faults
from kerasprune.models import arguments
from kerasprune.models.parts import SCALES, Parts, scale_width

STAGE_CHANNELS = (64, 128, 256, 512, 512)
HIDDEN_UNITS = 512
# Sides of the kernels of each stage.
STAGE_KERNELS = {16: ((3, 3), (3, 3), *((3, 3, 3),) * 3), 19: ((3, 3), (3, 3), *((3, 3, 3, 3),) * 3)}
# The same, and the number of hidden dense layers.
VERSIONS = {
    "C": (((3, 3), (3, 3), *((3, 3, 1),) * 3), 2),
    "D": (STAGE_KERNELS[16], 2),
    "like": (STAGE_KERNELS[16], 1),
}
SMALLEST_SIDE = 16


def vgg_cifar(
    depth: int = 19,
    classes: int = 10,
    input_shape: arguments.InputShape = (None, None, 3),
    width: float = 1,
    scales: str = "ones",
    seed: int | None = None,
) -> keras.Model:
    """Builds a CIFAR VGG as the pruning papers do: `relu(bn(conv(x)))` throughout, then one dense layer.

    Max pooling halves the side after each of the first four stages. Global average pooling follows the
    fifth, which at 32×32 is the 2×2 average pooling of the originals. BatchNorm has momentum 0.9 and
    epsilon 1e-5; the convolutions before it have no bias.

    Args:
        depth: 16 or 19. The name counts three dense layers, of which this version has one. Defaults to 19.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides, at least 16 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        width: Multiplies the channels of every stage. Defaults to 1.
        scales: Initial scales of the BatchNorm layers: `"ones"`, or `"uniform"`, drawn from U(0, 1) as the code of the
            lottery-ticket papers does. Defaults to `"ones"`.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> vgg_cifar(16, classes=100, width=0.25).output.shape
        (None, 100)

    Reference:
        Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015;
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017.
    """
    faults = arguments.depth_faults(depth, "16 or 19", list(STAGE_KERNELS))
    faults += positive_faults(width=width) + choice_faults(SCALES, scales=scales)
    x = images = arguments.checked_images("vgg_cifar", classes, input_shape, seed, faults, smallest_side=SMALLEST_SIDE)
    parts = Parts(seed, scales)
    x = _stages(parts, x, STAGE_KERNELS[depth], width)
    return parts.pooled(images, x, classes, f"vgg_cifar_{depth}")


def vgg_snip(
    version: str = "D",
    classes: int = 10,
    input_shape: arguments.InputShape = (None, None, 3),
    width: float = 1,
    seed: int | None = None,
) -> keras.Model:
    """Builds a VGG as SNIP does: as `vgg_cifar`, with hidden dense layers, and with biases everywhere.

    Max pooling halves the side after the fifth stage, too; at 32×32 one pixel is left. Dense layers of 512 units with
    BatchNorm and ReLU follow, without dropout.

    Args:
        version: `"C"` has a 1×1 convolution at the end of stages three to five and two hidden layers, `"D"` only 3×3
            ones and two, `"like"` only 3×3 ones and one hidden layer. Defaults to `"D"`.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides, at least 32 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        width: Multiplies the channels of every stage and the hidden units. Defaults to 1.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> vgg_snip("like", classes=100, width=0.25).get_layer("hidden1").units
        128

    Reference:
        Lee et al., SNIP: Single-Shot Network Pruning Based on Connection Sensitivity, ICLR 2019, table 2.
    """
    faults = choice_faults(list(VERSIONS), version=version) + positive_faults(width=width)
    images = arguments.checked_images("vgg_snip", classes, input_shape, seed, faults, smallest_side=2 * SMALLEST_SIDE)
    parts, (kernels, hidden) = Parts(seed, bias=True), VERSIONS[version]
    x = _stages(parts, images, kernels, width)
    x = keras.layers.MaxPooling2D(2, name=f"stage{len(kernels)}_pool")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    for number in range(1, hidden + 1):
        x = parts.dense_unit(x, scale_width(HIDDEN_UNITS, width), f"hidden{number}")
    return parts.classified(images, x, classes, f"vgg_snip_{version}")


def _stages(parts: Parts, x: keras.KerasTensor, kernels: Sequence[Sequence[int]], width: float) -> keras.KerasTensor:
    """Applies the stages of convolutions, with max pooling between them."""
    for stage, (channels, sides) in enumerate(zip(STAGE_CHANNELS, kernels, strict=True), start=1):
        for number, side in enumerate(sides, start=1):
            x = parts.unit(x, scale_width(channels, width), side, f"stage{stage}", number)
        if stage < len(STAGE_CHANNELS):
            x = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return x
