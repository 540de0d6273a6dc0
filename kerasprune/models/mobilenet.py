"""MobileNetV2: inverted residual blocks with depthwise convolutions."""

from __future__ import annotations

import keras

from kerasprune.checks import choice_faults, interval_faults, positive_faults
from kerasprune.models import arguments
from kerasprune.models.parts import Parts, layer_seed

# Expansion, channels, blocks and the first block's stride of each stage: table 2 of the paper.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
# Strides of the stem and of the second stage: 32-pixel images cannot afford to be halved five times.
EARLY_STRIDES = {"imagenet": (2, 2), "cifar": (1, 1), "cifar_stride2": (2, 1)}


def mobilenet_v2(
    classes: int = 1000,
    input_shape: arguments.InputShape = (None, None, 3),
    stem: str = "imagenet",
    width: float = 1,
    dropout: float = 0.2,
    seed: int | None = None,
) -> keras.Model:
    """Builds a MobileNetV2.

    A block expands the channels (1×1), filters each of them (depthwise 3×3) and projects (1×1, no ReLU); it
    adds its input if the shape is the same. The activation is ReLU6. Strided layers pad with explicit zeros,
    as torchvision does. BatchNorm has momentum 0.9 and epsilon 1e-5; convolutions have no bias.

    Args:
        classes: Number of logits. Defaults to 1000.
        input_shape: `(height, width, channels)`; the sides may be `None`. Defaults to `(None, None, 3)`.
        stem: `"imagenet"` halves the side five times; `"cifar"` three times, with stride 1 in the stem and
            in the second stage; `"cifar_stride2"` four times, with stride 1 in the second stage only, at a quarter
            of the multiply–adds of `"cifar"`. Defaults to `"imagenet"`.
        width: Multiplies the channels, rounded to multiples of 8; the head has at least 1280. Defaults to 1.
        dropout: Dropout rate before the classifier, in [0, 1); 0 leaves the layer out. Defaults to 0.2.
        seed: Random seed of the initial weights (He-normal). Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> mobilenet_v2(10, (32, 32, 3), stem="cifar").get_layer("head_relu").output.shape
        (None, 4, 4, 1280)

    Reference:
        Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.
    """
    faults = choice_faults(list(EARLY_STRIDES), stem=stem) + positive_faults(width=width)
    faults += interval_faults("[0, 1)", "a fraction", dropout=dropout)
    images = arguments.checked_images("mobilenet_v2", classes, input_shape, seed, faults)
    parts = Parts(seed, ceiling=6)
    stem_strides, second_strides = EARLY_STRIDES[stem]
    x = parts.unit(images, multiple_of_8(STEM_CHANNELS * width), 3, "stem", strides=stem_strides)
    for stage, (expansion, channels, blocks, strides) in enumerate(STAGES, start=1):
        filters, first_strides = multiple_of_8(channels * width), second_strides if stage == 2 else strides
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            x = _block(parts, x, expansion, filters, first_strides if block == 1 else 1, name)
    x = parts.unit(x, multiple_of_8(HEAD_CHANNELS * max(1, width)), 1, "head")
    return parts.pooled(images, x, classes, "mobilenet_v2", dropout)


def multiple_of_8(channels: float) -> int:
    """Returns the multiple of 8 nearest to `channels`, at least 8 and never below 90 % of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(
    parts: Parts, x: keras.KerasTensor, expansion: int, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    branch = x
    if expansion > 1:
        branch = parts.unit(x, x.shape[-1] * expansion, 1, f"{name}_expand")
    branch = parts.activated(_depthwise(parts, branch, strides, f"{name}_depthwise_conv"), f"{name}_depthwise")
    branch = parts.normed(branch, filters, 1, f"{name}_project")
    if strides > 1 or x.shape[-1] != filters:
        return branch
    return keras.layers.Add(name=f"{name}_add")([x, branch])


def _depthwise(parts: Parts, x: keras.KerasTensor, strides: int, name: str) -> keras.KerasTensor:
    if strides > 1:
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    # A depthwise filter sees 9 inputs; Keras's own He-normal would count those of all channels.
    he_normal = keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5, seed=layer_seed(name, parts.seed))
    layer = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="valid" if strides > 1 else "same",
        use_bias=False,
        depthwise_initializer=he_normal,
        name=name,
    )
    return layer(x)
