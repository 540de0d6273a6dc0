"""Residual networks for small images: depth 6n + 2, three stages of 16, 32 and 64 channels."""

from __future__ import annotations

import keras

from kerasprune.checks import choice_faults, positive_faults
from kerasprune.models import arguments
from kerasprune.models.parts import SCALES, Parts, scale_width

STAGE_CHANNELS = (16, 32, 64)
SHORTCUTS = ("identity", "projection")


def resnet_cifar(
    depth: int = 20,
    classes: int = 10,
    input_shape: arguments.InputShape = (None, None, 3),
    shortcut: str = "identity",
    width: float = 1,
    scales: str = "ones",
    seed: int | None = None,
) -> keras.Model:
    """Builds a CIFAR residual network.

    A block computes `relu(shortcut(x) + bn2(conv2(relu(bn1(conv1(x))))))`. At the start of a stage the image
    side halves and the channels double. The `"identity"` shortcut (option A) takes every second pixel, puts
    zero channels around the old ones, half before and half after, and has no weights. The `"projection"`
    shortcut (option B) is a 1×1 convolution with BatchNorm there, and the identity elsewhere. BatchNorm has
    momentum 0.9 and epsilon 1e-5; the convolutions before it have no bias.

    Args:
        depth: Number of layers with weights, 6n + 2: 20, 32, 44, 56, 110, … Defaults to 20.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides may be `None`. Defaults to `(None, None, 3)`.
        shortcut: `"identity"` or `"projection"`. Defaults to `"identity"`.
        width: Multiplies the channels of every stage. Defaults to 1.
        scales: Initial scales of the BatchNorm layers: `"ones"`, or `"uniform"`, drawn from U(0, 1) as the code of the
            lottery-ticket papers does. Defaults to `"ones"`.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> resnet_cifar(20, input_shape=(32, 32, 3)).count_params()
        271098

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.
    """
    faults = arguments.depth_faults(depth, "6n + 2", range(8, 1203, 6))
    faults += choice_faults(SHORTCUTS, shortcut=shortcut) + choice_faults(SCALES, scales=scales)
    faults += positive_faults(width=width)
    images = arguments.checked_images("resnet_cifar", classes, input_shape, seed, faults)
    parts = Parts(seed, scales)
    channels = [scale_width(c, width) for c in STAGE_CHANNELS]
    x = parts.unit(images, channels[0], 3, "stem")
    for stage, filters in enumerate(channels, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(parts, x, filters, strides, shortcut, f"stage{stage}_block{block}")
    return parts.pooled(images, x, classes, f"resnet_cifar_{depth}")


def _block(
    parts: Parts, x: keras.KerasTensor, filters: int, strides: int, shortcut: str, name: str
) -> keras.KerasTensor:
    branch = parts.unit(x, filters, 3, name, 1, strides)
    branch = parts.normed(branch, filters, 3, name, 2)
    if strides > 1 and shortcut == "identity":
        x = _subsample_and_pad(x, filters, strides, name=f"{name}_shortcut")
    elif strides > 1:
        x = parts.normed(x, filters, 1, f"{name}_shortcut", strides=strides)
    x = keras.layers.Add(name=f"{name}_add")([x, branch])
    return parts.relu(x, f"{name}_relu2")


def _subsample_and_pad(x: keras.KerasTensor, filters: int, strides: int, *, name: str) -> keras.KerasTensor:
    x = keras.layers.MaxPooling2D(pool_size=1, strides=strides, name=f"{name}_subsample")(x)
    extra = filters - x.shape[-1]
    # Read as "channels first", a (batch, height, width, channels) tensor is padded along its last two axes:
    # none along the width, zeros along the channels. So no custom layer is needed.
    zeros = ((0, 0), (extra // 2, extra - extra // 2))
    return keras.layers.ZeroPadding2D(zeros, data_format="channels_first", name=f"{name}_pad")(x)
