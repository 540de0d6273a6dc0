"""Which layers of a backbone turn the hidden states least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import calls_of_layers
from kerasprune.data.batches import example_batches
from kerasprune.surgery.comparison import cosines


def layer_influence(
    model: keras.Model, inputs: Any, layers: Sequence[keras.layers.Layer], samples: int = 128
) -> np.ndarray:
    """Returns `1 − mean cos(x, y)` of the input x and the output y of every layer, over examples and positions.

    Args:
        model: A task or a backbone.
        inputs: Its inputs.
        layers: The layers, in order.
        samples: Largest number of examples. Defaults to 128.

    Reference:
        Men et al., ShortGPT: Layers in Large Language Models are More Redundant Than You Expect, arXiv 2403.03853,
        Eq. 1 (Block Influence).
    """
    places = {id(layer): number for number, layer in enumerate(layers)}
    found: list[list[np.ndarray]] = [[] for _ in layers]

    def visit(it: Any, call: Any, args: Any, kwargs: Any) -> Any:
        made = call(it, *args, **kwargs)
        if id(it) in places:
            x, y = (ops.convert_to_numpy(tree.flatten(each)[0]) for each in (args or kwargs, made))
            found[places[id(it)]].append(cosines(x, y).ravel())
        return made

    with calls_of_layers(visit):
        for batch in example_batches(model, inputs, samples):
            model(tree.pack_sequence_as(model.input, list(map(ops.convert_to_tensor, batch))), training=False)
    return np.array([1 - np.concatenate(each).mean() for each in found])
