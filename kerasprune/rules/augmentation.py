"""Random changes of images while training, in front of a network: the channels of images stay."""

from __future__ import annotations

from typing import Any

from keras import layers, tree

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import UNKNOWN, tensor_rule

_NAMES = (
    "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization", "MixUp",
    "RandAugment", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform",
    "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomZoom", "Solarization",
)  # fmt: skip
_LAYERS = [getattr(layers, name) for name in _NAMES if hasattr(layers, name)]  # Keras adds some with every release


@tensor_rule(*_LAYERS, constant=UNKNOWN)
def augmentation(graph: GraphBuilder, layer: layers.Layer, x: Any) -> list[Ids]:
    """Identity, or a function of colours, when the network is used; in training colours may be mixed.

    Images come alone, or in a dict with labels and boxes, whose order flattening keeps.
    """
    given = tree.flatten(x)
    for each in given:
        graph.pin_all(each, f"{layer.name!r} changes images while training")
    return [Ids(shape, dict(each.axes)) for shape, each in zip(graph.call.outputs, given, strict=True)]
