"""VGG for small images: a stack of 3×3 convolutions with BatchNorm, one dense classifier."""

from __future__ import annotations

import keras

from kerasprune.errors import choice_faults, positive_faults
from kerasprune.models import arguments
from kerasprune.models.parts import SCALES, Parts, scaled

STAGE_CHANNELS = (64, 128, 256, 512, 512)
STAGE_CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
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
    faults = arguments.depth_faults(depth, "16 or 19", list(STAGE_CONVOLUTIONS))
    faults += positive_faults(width=width) + choice_faults(SCALES, scales=scales)
    x = images = arguments.checked_images("vgg_cifar", classes, input_shape, seed, faults, smallest_side=SMALLEST_SIDE)
    parts = Parts(seed, scales)
    stages = zip(STAGE_CHANNELS, STAGE_CONVOLUTIONS[depth], strict=True)
    for stage, (channels, convolutions) in enumerate(stages, start=1):
        for number in range(1, convolutions + 1):
            x = parts.unit(x, scaled(channels, width), 3, f"stage{stage}", number)
        if stage < len(STAGE_CHANNELS):
            x = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return parts.pooled(images, x, classes, f"vgg_cifar_{depth}")
