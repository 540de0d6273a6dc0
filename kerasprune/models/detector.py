"""A detector without anchors: a backbone, a pyramid of three levels, and heads that all levels share."""

from __future__ import annotations

import math

import keras
from keras import layers

from kerasprune.checks import whole_number_faults
from kerasprune.models import arguments
from kerasprune.models.cifar_resnet import resnet_cifar
from kerasprune.models.parts import layer_seed
from kerasprune.models.sets.points import STRIDES, detection_losses
from kerasprune.models.stem import first_layers, load_stem

_ENDS = ("stage2_block3_relu2", "stage3_block3_relu2")
_LAST = 96  # channels of the last level's stage
_GROUPS = 8  # of GroupNormalization
_HALVINGS = int(math.log2(STRIDES[-1]))


def fcos(
    classes: int = 10,
    input_shape: arguments.InputShape = (128, 128, 3),
    width: int = 64,
    stem: str | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds a fully convolutional one-stage detector, without its branch for centres.

    The three stages of a `resnet_cifar(20)` see images at half their sides; a fourth follows. Of the last three a
    pyramid is made, with points at every 4, 8 and 16 pixels. Two towers of two convolutions with GroupNormalization,
    which all levels share, end in the logits of the classes and in the distances, in pixels, from the point to the
    sides of its box.

    Args:
        classes: Number of logits of a point. Defaults to 10.
        input_shape: `(height, width, channels)`; sides may be `None`, given ones are multiples of 16. Defaults to
            `(128, 128, 3)`.
        width: Channels of the pyramid and of the heads, a multiple of 8. Defaults to 64.
        stem: Path of a `.keras` model with the stages of `resnet_cifar(20)`, which are trained further; also one beside
            the package's recipes, as `checkpoints/glyphs-base.keras`. Defaults to `None`: drawn from the seed.
        seed: Random seed of the initial weights outside the stem. Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to `{"classes": logits of shape (batch, points, classes), "distances": to
        left, top, right, bottom of shape (batch, points, 4)}`; the points are level by level, row by row. It is
        compiled with `detection_losses()` and AdamW.

    Raises:
        PruneError: An argument is out of range, or the stem is no such model.

    Example:
        >>> outputs = fcos(3, (32, 48, 3), width=16).output
        >>> outputs["classes"].shape, outputs["distances"].shape
        ((None, 126, 3), (None, 126, 4))

    Reference:
        Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, ICCV 2019; the pyramid as in Lin et al.,
        Feature Pyramid Networks for Object Detection, CVPR 2017.
    """
    faults = whole_number_faults(1, width=width)
    if not faults and width % _GROUPS:
        faults.append(f"Expected width to be a multiple of {_GROUPS}. Received: width={width}.")
    images = arguments.checked_images("fcos", classes, input_shape, seed, faults, halvings=_HALVINGS)
    half = layers.AveragePooling2D(2, name="half")(images)
    if stem is None:
        backbone = resnet_cifar(20, input_shape=half.shape[1:], seed=seed)
    else:
        backbone = load_stem(stem, {f"the end of stage {number}": end for number, end in enumerate(_ENDS, 2)})
    levels = _pyramid(first_layers(backbone, _ENDS, half, frozen=False), width, seed)
    prior = keras.initializers.Constant(-math.log(99))  # of a probability of .01
    ends = {
        "classes": _conv(classes, 3, "class_head", seed, bias_initializer=prior),
        "distances": _conv(4, 3, "distance_head", seed, activation="softplus"),
    }
    found = {name: _shared_head(name, levels, width, end, seed) for name, end in ends.items()}
    found["distances"] = [
        layers.Rescaling(stride, name=f"stride{place}")(y)
        for place, (stride, y) in enumerate(zip(STRIDES, found["distances"], strict=True))
    ]
    outputs = {name: layers.Concatenate(axis=1, name=name)(lines) for name, lines in found.items()}
    model = keras.Model(images, outputs, name="fcos")
    # The focal loss is a mean over classes, where the paper sums.
    model.compile("adamw", detection_losses(), loss_weights={"classes": float(classes), "distances": 1.0})
    return model


def _pyramid(stages: list[keras.KerasTensor], width: int, seed: int | None) -> list[keras.KerasTensor]:
    """Returns the levels, the one with the most points first."""
    x = _conv(_LAST, 3, "stage4_conv", seed, strides=2, use_bias=False)(stages[-1])
    levels = [*stages, layers.ReLU(name="stage4_relu")(layers.BatchNormalization(name="stage4_bn")(x))]
    merged = None
    for place in reversed(range(len(levels))):
        side = _conv(width, 1, f"lateral{place}", seed)(levels[place])
        if merged is not None:
            up = layers.UpSampling2D(2, name=f"up{place}")(merged)
            side = layers.Add(name=f"merge{place}")([side, up])
        merged = side
        levels[place] = _conv(width, 3, f"level{place}", seed, activation="relu")(merged)
    return levels


def _shared_head(
    name: str, levels: list[keras.KerasTensor], width: int, end: layers.Conv2D, seed: int | None
) -> list[keras.KerasTensor]:
    """Returns the outputs of a head at the points of each level."""
    tower = [
        (
            _conv(width, 3, f"{name}_conv{number}", seed, use_bias=False),
            layers.GroupNormalization(_GROUPS, name=f"{name}_norm{number}"),
        )
        for number in range(2)
    ]
    found = []
    for place, x in enumerate(levels):
        for number, (conv, norm) in enumerate(tower):
            x = layers.ReLU(name=f"{name}_relu{number}_{place}")(norm(conv(x)))
        found.append(layers.Reshape((-1, end.filters), name=f"{name}_line{place}")(end(x)))
    return found


def _conv(filters: int, kernel: int, name: str, seed: int | None, **others: object) -> layers.Conv2D:
    """Returns a convolution whose kernel is a function of the seed and of its name."""
    drawn = keras.initializers.GlorotUniform(layer_seed(name, seed))
    return layers.Conv2D(filters, kernel, padding="same", kernel_initializer=drawn, name=name, **others)
