"""The statistics of BatchNorm layers, averaged over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
from keras import layers, tree

from kerasprune._keras import calls_of_layers, inner_layers, structures
from kerasprune.data.example_batches import Batches


def trainable_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    """Returns the layers whose statistics are taken anew, those of models and layers inside included."""
    return [each for each in inner_layers(model) if isinstance(each, layers.BatchNormalization) and each.trainable]


class Averages:
    """Statistics of layers as averages over batches b of nᵦ examples: `μ = Σ nᵦ·μᵦ / Σ nᵦ`, `σ²` alike.

    Args:
        norms: The layers that hold them.
    """

    def __init__(self, norms: Iterable[layers.BatchNormalization]) -> None:
        self.examples = dict.fromkeys(norms, 0)

    def take(self, norm: layers.BatchNormalization, call: Callable, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Takes in what comes into a layer, and returns it normalised by the statistics of its batch."""
        number, usual = keras.ops.shape(args[0])[0], norm.momentum
        norm.momentum = self.examples[norm] / (self.examples[norm] + number)
        self.examples[norm] += number
        try:
            return call(norm, *args, **{**kwargs, "training": True})
        finally:
            norm.momentum = usual


def run(model: keras.Model, examples: Batches, visit: Callable[[Any, Callable, Any, Any], Any]) -> None:
    """Runs a model as in inference; every call of a layer is made by `visit(layer, call, args, kwargs)`."""
    with calls_of_layers(visit):
        for batch in examples:
            model(tree.pack_sequence_as(structures(model)[0], batch), training=False)
