"""Architectures of `keras.applications` in the shape of the other families: logits, own names, seeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from kerasprune._keras import DEFAULT_BLOCKS_ARGS, EfficientNet
from kerasprune.checks import interval_faults, positive_faults
from kerasprune.models import arguments
from kerasprune.models.mobilenet import multiple_of_8
from kerasprune.models.parts import layer_seed
from kerasprune.surgery.copy_layer import make_layer
from kerasprune.surgery.fresh_weights import seed_places

SMALLEST_SIDE = 32


def from_application(
    application: Callable[..., keras.Model],
    name: str,
    images: keras.KerasTensor,
    classes: int,
    seed: int | None,
    dropout: float = 0.0,
) -> keras.Model:
    """Builds an architecture of `keras.applications` with fresh weights, global pooling and a dense classifier.

    Layers, their names and their initialisers are those of Keras, without the numbers that it appends to unnamed
    layers, and without rescaling or normalisation at the input, so that every family takes the same images.

    Args:
        application: A function of `keras.applications`, e.g. `keras.applications.DenseNet121`.
        name: Name of the model.
        images: The input of the model.
        classes: Number of logits.
        seed: Makes the initial weights repeatable; `None` for fresh ones.
        dropout: Fraction of the last channels that training drops; 0 leaves the layer out. Defaults to 0.0.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.
    """
    body = application(include_top=False, weights=None, input_tensor=images, pooling="avg")
    x = body.output
    if dropout:
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    x = keras.layers.Dense(classes, name="logits")(x)
    raw = keras.Model(images, x, name=name)
    names = _own_names(raw.layers)

    def seeded(layer: keras.Layer) -> keras.Layer:
        name, config = names[layer.name], layer.get_config()
        places = [*seed_places(config), *[("seed",)] * ("seed" in config)]
        return make_layer(layer, {("name",): name, **dict.fromkeys(places, layer_seed(name, seed))})

    return keras.models.clone_model(raw, clone_function=seeded, call_function=_call_unless_preprocessing)


def _own_names(layers: list[keras.Layer]) -> dict[str, str]:
    """Maps names to names: a layer that Keras named by its class is named after the layer that follows it."""
    own: dict[str, str] = {}
    following = ""
    for layer in reversed(layers):
        kind = re.sub(r"_\d+$", "", layer.name)
        unnamed = kind.replace("_", "") == type(layer).__name__.lower()
        following = own[layer.name] = f"{following}_{kind}" if unnamed else layer.name
    return own


def _call_unless_preprocessing(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
    if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
        return args[0]
    return layer(*args, **kwargs)


def efficientnet_b0(
    classes: int = 1000,
    input_shape: arguments.InputShape = (None, None, 3),
    dropout: float = 0.2,
    width: float = 1,
    depth: float = 1,
    seed: int | None = None,
) -> keras.Model:
    """Builds an EfficientNet-B0 without the rescaling at the input, or one that is narrower, wider or of other depth.

    Layers, names, initialisers and BatchNorm settings are those of `keras.applications`; images must be standardised,
    as for all other models here, rather than in 0…255.

    Args:
        classes: Number of logits. Defaults to 1000.
        input_shape: `(height, width, channels)`; the sides, at least 32 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        dropout: Dropout rate before the classifier, in [0, 1). Defaults to 0.2.
        width: Multiplies the channels of the stages, rounded to multiples of 8; stem and head keep theirs. Defaults
            to 1.
        depth: Multiplies the blocks of every stage, rounded to the nearest integer, at least one. Defaults to 1.
        seed: Random seed of the initial weights. Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> efficientnet_b0(10, width=0.54, depth=0.85).output.shape  # TinyNet-C, for images of 184×184
        (None, 10)

    Reference:
        Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019; Han et al.,
        Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets, NeurIPS 2020.
    """
    faults = interval_faults("[0, 1)", "a fraction", dropout=dropout) + positive_faults(width=width, depth=depth)
    images = arguments.checked_images(
        "efficientnet_b0", classes, input_shape, seed, faults, smallest_side=SMALLEST_SIDE
    )
    return from_application(_efficientnet(width, depth), "efficientnet_b0", images, classes, seed, dropout)


def _efficientnet(width: float, depth: float) -> Callable[..., keras.Model]:
    """Returns the application with stages of other widths and depths."""
    stages = [dict(stage) for stage in DEFAULT_BLOCKS_ARGS]
    for number, stage in enumerate(stages):
        stage["filters_in"] = stages[number - 1]["filters_out"] if number else stage["filters_in"]
        stage["filters_out"] = multiple_of_8(width * stage["filters_out"])
        stage["repeats"] = max(1, round(depth * stage["repeats"]))
    return partial(EfficientNet, 1.0, 1.0, None, blocks_args=stages)


def densenet121(
    classes: int = 1000, input_shape: arguments.InputShape = (None, None, 3), seed: int | None = None
) -> keras.Model:
    """Builds a DenseNet-121, with the layers, names, initialisers and BatchNorm settings of `keras.applications`.

    Args:
        classes: Number of logits. Defaults to 1000.
        input_shape: `(height, width, channels)`; the sides, at least 32 pixels, may be `None`. Defaults to
            `(None, None, 3)`.
        seed: Random seed of the initial weights. Defaults to `None`: different weights in every call.

    Returns:
        A functional model from images to logits of shape `(batch, classes)`.

    Example:
        >>> densenet121(10).output.shape
        (None, 10)

    Reference:
        Huang et al., Densely Connected Convolutional Networks, CVPR 2017.
    """
    images = arguments.checked_images("densenet121", classes, input_shape, seed, smallest_side=SMALLEST_SIDE)
    return from_application(keras.applications.DenseNet121, "densenet121", images, classes, seed)
