"""Residual networks for ImageNet: 18 and 34 layers of basic blocks, 50 and 101 of bottleneck blocks."""

from __future__ import annotations

import keras

from kerasprune.models import arguments
from kerasprune.models.parts import Parts

STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECK_EXPANSION = 4


def resnet_imagenet(
    depth: int = 50,
    classes: int = 1000,
    input_shape: arguments.InputShape = (None, None, 3),
    seed: int | None = None,
) -> keras.Model:
    """Builds an ImageNet residual network, the version "1.5" that torchvision trains.

    A basic block has two 3×3 convolutions; a bottleneck block has 1×1, 3×3 and 1×1 ones, and the stride
    sits in the 3×3 one. A shortcut whose shape changes is a 1×1 convolution with BatchNorm. Strided layers
    pad with explicit zeros, so that every spatial size is torch's. BatchNorm has momentum 0.9 and epsilon
    1e-5; the convolutions before it have no bias.

    Args:
        depth: 18, 34, 50 or 101. Defaults to 50.
        classes: Number of logits. Defaults to 1000.
        input_shape: `(height, width, channels)`; the sides may be `None`. Defaults to `(None, None, 3)`.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> resnet_imagenet(18, input_shape=(224, 224, 3)).get_layer("stage4_block2_add").output.shape
        (None, 7, 7, 512)

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    """
    faults = arguments.depth_faults(depth, "18, 34, 50 or 101", list(STAGE_BLOCKS))
    images = arguments.checked_images("resnet_imagenet", classes, input_shape, seed, faults)
    parts, expansion = Parts(seed), 1 if depth < 50 else BOTTLENECK_EXPANSION
    x = parts.unit(images, STAGE_CHANNELS[0], 7, "stem", strides=2)
    # Zeros pad as well as torch's minus infinity: after ReLU nothing is smaller.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    for stage, (filters, blocks) in enumerate(zip(STAGE_CHANNELS, STAGE_BLOCKS[depth], strict=True), start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(parts, x, filters, expansion, strides, f"stage{stage}_block{block}")
    return parts.pooled(images, x, classes, f"resnet_imagenet_{depth}")


def _block(
    parts: Parts, x: keras.KerasTensor, filters: int, expansion: int, strides: int, name: str
) -> keras.KerasTensor:
    """Returns a basic block if channels are not expanded, else a bottleneck block."""
    shortcut, outputs = x, filters * expansion
    if strides > 1 or x.shape[-1] != outputs:
        shortcut = parts.normed(x, outputs, 1, f"{name}_shortcut", strides=strides)
    # Kernel and stride of each convolution; the last has no ReLU before the sum.
    kernels = ((3, strides), (3, 1)) if expansion == 1 else ((1, 1), (3, strides), (1, 1))
    for number, (kernel, stride) in enumerate(kernels[:-1], start=1):
        x = parts.unit(x, filters, kernel, name, number, stride)
    x = parts.normed(x, outputs, kernels[-1][0], name, len(kernels))
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return parts.relu(x, f"{name}_relu")
