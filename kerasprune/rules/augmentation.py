"""Random changes of images while training, in front of a network: the channels of images stay."""

from __future__ import annotations

from keras import layers

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
def augmentation(graph: GraphBuilder, layer: layers.Layer, x: Ids) -> Ids:
    """Identity, or a function of colours, when the network is used; in training colours may be mixed."""
    graph.pin_all(x, f"{layer.name!r} changes images while training")
    return Ids(graph.call.outputs[0], dict(x.axes))
