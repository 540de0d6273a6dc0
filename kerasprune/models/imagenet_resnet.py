"""Residual networks for ImageNet: 18 and 34 layers of basic blocks, 50 and 101 of bottleneck blocks."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kerasprune.models import arguments, parts

STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BOTTLENECK_EXPANSION = 4

Branch = Callable[..., keras.KerasTensor]


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
        seed: Makes the initial weights (He-normal) repeatable. Defaults to `None`: fresh ones.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Raises:
        PruneError: An argument is out of its range.

    Example:
        >>> resnet_imagenet(18, input_shape=(224, 224, 3)).get_layer("stage4_block2_add").output.shape
        (None, 7, 7, 512)

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    """
    arguments.check(
        "resnet_imagenet",
        classes,
        input_shape,
        seed,
        arguments.depth_fault(depth, "18, 34, 50 or 101", list(STAGE_BLOCKS)),
    )
    branch, expansion = (_basic, 1) if depth < 50 else (_bottleneck, BOTTLENECK_EXPANSION)
    images = keras.Input(tuple(input_shape), name="images")
    x = _stem(images, seed=seed)
    for stage, (filters, blocks) in enumerate(zip(STAGE_CHANNELS, STAGE_BLOCKS[depth], strict=True), start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            x = _block(x, branch, filters, filters * expansion, strides, name=name, seed=seed)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, parts.classifier(x, classes, seed=seed), name=f"resnet_imagenet_{depth}")


def _stem(x: keras.KerasTensor, *, seed: int | None) -> keras.KerasTensor:
    x = parts.padded_convolution(x, STAGE_CHANNELS[0], 7, strides=2, name="stem_conv", seed=seed)
    x = parts.batch_norm(x, name="stem_bn")
    x = parts.relu(x, name="stem_relu")
    # Zeros pad as well as torch's minus infinity: after ReLU nothing is smaller.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)


def _block(
    x: keras.KerasTensor,
    branch: Branch,
    filters: int,
    outputs: int,
    strides: int,
    *,
    name: str,
    seed: int | None,
) -> keras.KerasTensor:
    shortcut = x
    if strides > 1 or x.shape[-1] != outputs:
        shortcut = parts.convolution(x, outputs, 1, strides=strides, name=f"{name}_shortcut_conv", seed=seed)
        shortcut = parts.batch_norm(shortcut, name=f"{name}_shortcut_bn")
    x = branch(x, filters, outputs, strides, name=name, seed=seed)
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return parts.relu(x, name=f"{name}_relu")


def _basic(
    x: keras.KerasTensor, filters: int, outputs: int, strides: int, *, name: str, seed: int | None
) -> keras.KerasTensor:
    x = parts.strided_convolution(x, filters, 3, strides=strides, name=f"{name}_conv1", seed=seed)
    x = parts.batch_norm(x, name=f"{name}_bn1")
    x = parts.relu(x, name=f"{name}_relu1")
    x = parts.convolution(x, outputs, 3, name=f"{name}_conv2", seed=seed)
    return parts.batch_norm(x, name=f"{name}_bn2")


def _bottleneck(
    x: keras.KerasTensor, filters: int, outputs: int, strides: int, *, name: str, seed: int | None
) -> keras.KerasTensor:
    x = parts.convolution(x, filters, 1, name=f"{name}_conv1", seed=seed)
    x = parts.batch_norm(x, name=f"{name}_bn1")
    x = parts.relu(x, name=f"{name}_relu1")
    x = parts.strided_convolution(x, filters, 3, strides=strides, name=f"{name}_conv2", seed=seed)
    x = parts.batch_norm(x, name=f"{name}_bn2")
    x = parts.relu(x, name=f"{name}_relu2")
    x = parts.convolution(x, outputs, 1, name=f"{name}_conv3", seed=seed)
    return parts.batch_norm(x, name=f"{name}_bn3")
