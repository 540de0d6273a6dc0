"""Warns of pixels at another scale than that of the training, by the statistics of BatchNorm, which need no labels."""

from __future__ import annotations

import keras
import numpy as np

from kerasprune._keras import inner_layers
from kerasprune.data.signature import is_graph
from kerasprune.errors import PruneError, warn
from kerasprune.repair.synthesis.stored_moments import StoredMoments

_FURTHER, _TIE = 10, 2  # ratios of distances: least for another scale to be reported, most for two to be named
_RAW, _WHITE, _SCALING = 127, 255, (keras.layers.Rescaling, keras.layers.Normalization)
_FEW, _IMAGES, _BRIGHT = 32, 4, 2  # images that are looked at, their axes, and a number that only raw pixels exceed

AS_IS = "x"
SCALES = {AS_IS: lambda x: x, "x / 255": lambda x: x / 255, "x / 127.5 - 1": lambda x: x / 127.5 - 1}
"""Scales of pixels by their formula."""


def are_bright(pixels: np.ndarray) -> bool:
    """Returns whether numbers are images whose pixels are not in [0, 1] or [−1, 1], whatever their type."""
    few = pixels[:_FEW] if pixels.ndim == _IMAGES and pixels.dtype.kind in "uif" else np.zeros(1)
    return bool(few.min() >= 0 and few.max() > _BRIGHT)


def warn_of_statistics(model: keras.Model, pixels: np.ndarray) -> None:
    """Warns if images at another scale are much nearer to the statistics of BatchNorm, which need no labels.

    Without statistics it is said that raw pixels are taken as they are, unless a layer of the model scales them.

    Args:
        model: The dense model.
        pixels: Images; nothing is said of arrays of another kind, or of pixels below 2.
    """
    if not is_graph(model) or len(model.inputs) != 1 or not are_bright(pixels):
        return
    images = pixels[:_FEW].astype("float32")
    try:
        stored = StoredMoments(model)
    except PruneError:  # no statistics
        if _RAW < images.max() <= _WHITE and not any(isinstance(each, _SCALING) for each in inner_layers(model)):
            warn(
                f"Pixels of 0 … {images.max():g} are taken as they are: the model has no layer that scales them, and "
                "no statistics that show what it was trained on. If that was x / 255, scale the data like this."
            )
        return
    distances = {
        name: float(stored.distance(stored.of([keras.ops.convert_to_tensor(np.float32(scaled(images)))])))
        for name, scaled in SCALES.items()
    }
    least = min(distances.values())
    if distances[AS_IS] > max(1.0, _FURTHER * least):
        ratio = distances[AS_IS] / least
        near = " or ".join(name for name, distance in distances.items() if distance <= _TIE * least)
        warn(
            f"With pixels {near}, the activations of the model are {ratio:.0f} times nearer to the statistics of its "
            "BatchNorm layers than with pixels x as given: it was likely trained on them. Scale the data like this; on "
            "the command line --scale does so for uint8."
        )
