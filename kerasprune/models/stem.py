"""The first layers of a network, which another network begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerasprune.errors import PruneError, nearest, raise_faults
from kerasprune.files.keras_model import load_model
from kerasprune.files.shipped import here_or_shipped


def load_stem(path: str, ends: Mapping[str, str]) -> keras.Model:
    """Loads a model whose first layers are a stem, and checks that it has their ends.

    Args:
        path: Path of a `.keras` model; also one beside the package's recipes, as `checkpoints/glyphs-base.keras`.
        ends: Names of layers by what they are called in messages, such as the arguments that give them.

    Returns:
        The model.

    Raises:
        PruneError: There is no such model, or it has no such layers.

    Example:
        >>> load_stem("checkpoints/glyphs-base.keras", {"stem_end": "stem_relu"}).name
        'resnet_cifar_20'
    """
    model = load_model(here_or_shipped(path))
    names = [layer.name for layer in model.layers]
    faults = [
        f"Expected {called}, {end!r}, to be a layer of the stem.{nearest(end, names)} Received: stem={path!r}."
        for called, end in ends.items()
        if end not in names
    ]
    if len(faults) == 1:
        raise PruneError(faults[0])
    raise_faults("Invalid ends of the stem:", faults)
    return model


def first_layers(
    model: keras.Model, ends: Sequence[str], images: keras.KerasTensor, *, frozen: bool
) -> list[keras.KerasTensor]:
    """Calls copies of the first layers of a model on images.

    Args:
        model: A model of images.
        ends: Names of the layers whose outputs are wanted.
        images: What the copies are called on, of shape `(batch, height, width, channels)`.
        frozen: Whether the copies are not trained.

    Returns:
        The output of the copy of each end.

    Raises:
        PruneError: The images have other channels than those of the model.

    Example:
        >>> import keras
        >>> trained, images = load_stem("checkpoints/glyphs-base.keras", {}), keras.Input((32, 48, 3))
        >>> first_layers(trained, ["stage2_block3_relu2"], images, frozen=True)[0].shape
        (None, 16, 24, 32)
    """
    channels = model.inputs[0].shape[-1]
    if images.shape[-1] != channels:
        shape = tuple(images.shape[1:])
        raise PruneError(f"Expected images of {channels} channels, as the stem has. Received: input_shape={shape}.")
    found: dict[str, keras.KerasTensor] = {}

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        found[layer.name] = layer(*args, **kwargs)
        return found[layer.name]

    first = keras.Model(model.inputs[0], [model.get_layer(end).output for end in ends])
    first_model = keras.models.clone_model(first, images, call_function=call)
    first_model.set_weights(first.get_weights())
    if frozen:
        for layer in first_model.layers:
            layer.trainable = False
    return [found[end] for end in ends]
