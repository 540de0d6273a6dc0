"""Wide residual networks: pre-activation blocks, depth 6n + 4, stages widened by a factor."""

from __future__ import annotations

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.models import arguments
from kerasprune.models.parts import Parts

STEM_CHANNELS = 16
STAGE_CHANNELS = (16, 32, 64)


def wide_resnet(
    depth: int = 28,
    classes: int = 10,
    input_shape: arguments.InputShape = (None, None, 3),
    widen_factor: int = 10,
    seed: int | None = None,
) -> keras.Model:
    """Builds a wide residual network without dropout.

    A block computes `shortcut(x) + conv2(relu(bn2(conv1(relu(bn1(x))))))`. If the shape changes, the
    shortcut is a 1×1 convolution of `relu(bn1(x))`, otherwise it is `x`. BatchNorm has momentum 0.9 and
    epsilon 1e-5; convolutions have no bias.

    Args:
        depth: Number of convolutions, 6n + 4: 16, 22, 28, 40, … Defaults to 28.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides may be `None`. Defaults to `(None, None, 3)`.
        widen_factor: Multiplies the channels of every stage (k in the paper), not the stem's. Defaults to 10.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> wide_resnet(16, widen_factor=2).get_layer("stage3_block2_add").output.shape
        (None, None, None, 128)

    Reference:
        Zagoruyko & Komodakis, Wide Residual Networks, BMVC 2016, table 1.
    """
    faults = arguments.depth_faults(depth, "6n + 4", range(10, 1205, 6))
    faults += whole_number_faults(1, widen_factor=widen_factor)
    images = arguments.checked_images("wide_resnet", classes, input_shape, seed, faults)
    parts = Parts(seed)
    x = parts.convolution(images, STEM_CHANNELS, 3, "stem_conv")
    for stage, channels in enumerate(STAGE_CHANNELS, start=1):
        for block in range(1, (depth - 4) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(parts, x, channels * widen_factor, strides, f"stage{stage}_block{block}")
    return parts.pooled(images, parts.activated(x, "head"), classes, f"wide_resnet_{depth}_{widen_factor}")


def _block(parts: Parts, x: keras.KerasTensor, filters: int, strides: int, name: str) -> keras.KerasTensor:
    branch = parts.activated(x, name, 1)
    if strides > 1 or x.shape[-1] != filters:
        x = parts.convolution(branch, filters, 1, f"{name}_shortcut_conv", strides)
    branch = parts.convolution(branch, filters, 3, f"{name}_conv1", strides)
    branch = parts.convolution(parts.activated(branch, name, 2), filters, 3, f"{name}_conv2")
    return keras.layers.Add(name=f"{name}_add")([x, branch])
