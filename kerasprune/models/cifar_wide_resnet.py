"""Wide residual networks: pre-activation blocks, depth 6n + 4, stages widened by a factor."""

from __future__ import annotations

import keras

from kerasprune.models import arguments, parts

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

    A block computes `shortcut(x) + conv2(relu(bn2(conv1(relu(bn1(x))))))`. Where the shape changes, the
    shortcut is a 1×1 convolution of `relu(bn1(x))`; elsewhere it is `x`. BatchNorm has momentum 0.9 and
    epsilon 1e-5; convolutions have no bias.

    Args:
        depth: Number of convolutions, 6n + 4: 16, 22, 28, 40, … Defaults to 28.
        classes: Number of logits. Defaults to 10.
        input_shape: `(height, width, channels)`; the sides may be `None`. Defaults to `(None, None, 3)`.
        widen_factor: Multiplies the channels of every stage (k in the paper), not the stem's. Defaults to 10.
        seed: Makes the initial weights (He-normal) repeatable. Defaults to `None`: fresh ones.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Raises:
        PruneError: An argument is out of its range.

    Example:
        >>> wide_resnet(16, widen_factor=2).get_layer("stage3_block2_add").output.shape
        (None, None, None, 128)

    Reference:
        Zagoruyko & Komodakis, Wide Residual Networks, BMVC 2016, table 1.
    """
    arguments.check(
        "wide_resnet",
        classes,
        input_shape,
        seed,
        arguments.depth_fault(depth, "6n + 4", range(10, 1205, 6)),
        arguments.count_fault("widen_factor", widen_factor),
    )
    images = keras.Input(tuple(input_shape), name="images")
    x = parts.convolution(images, STEM_CHANNELS, 3, name="stem_conv", seed=seed)
    for stage, channels in enumerate(STAGE_CHANNELS, start=1):
        for block in range(1, (depth - 4) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, channels * widen_factor, strides, name=f"stage{stage}_block{block}", seed=seed)
    x = parts.batch_norm(x, name="head_bn")
    x = parts.relu(x, name="head_relu")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    name = f"wide_resnet_{depth}_{widen_factor}"
    return keras.Model(images, parts.classifier(x, classes, seed=seed), name=name)


def _block(x: keras.KerasTensor, filters: int, strides: int, *, name: str, seed: int | None) -> keras.KerasTensor:
    branch = parts.batch_norm(x, name=f"{name}_bn1")
    branch = parts.relu(branch, name=f"{name}_relu1")
    if strides > 1 or x.shape[-1] != filters:
        x = parts.convolution(branch, filters, 1, strides=strides, name=f"{name}_shortcut_conv", seed=seed)
    branch = parts.strided_convolution(branch, filters, 3, strides=strides, name=f"{name}_conv1", seed=seed)
    branch = parts.batch_norm(branch, name=f"{name}_bn2")
    branch = parts.relu(branch, name=f"{name}_relu2")
    branch = parts.convolution(branch, filters, 3, name=f"{name}_conv2", seed=seed)
    return keras.layers.Add(name=f"{name}_add")([x, branch])
