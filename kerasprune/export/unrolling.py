"""Recurrent layers without their loop: step after step in the graph, as many as the sequence has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import layers

from kerasprune._keras import inner_layers


def recurrent_layers(model: keras.Model) -> list[layers.Layer]:
    """Returns the recurrent layers of a model, however deep, that run in a loop."""
    return [each for each in inner_layers(model) if isinstance(each, layers.RNN) and not each.unroll]


@contextmanager
def unrolled(model: keras.Model) -> Iterator[None]:
    """Lets the recurrent layers of a model be traced without a loop while the block runs.

    The model is not copied: its layers may have classes that only the caller knows, and the weights are the same.
    Whoever traces it needs a fixed number of time steps.
    """
    found = recurrent_layers(model)
    try:
        for layer in found:
            layer.unroll = True
        yield
    finally:
        for layer in found:
            layer.unroll = False
