"""Which layers of a backbone matter least: those that turn the hidden states least, or whose absence is seen least."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import calls_of_layers
from kerasprune.data.batches import example_batches
from kerasprune.surgery.comparison import cosines, relative_error

_SAMPLES = 128
_MASK = "padding_mask"


def layer_influence(model: keras.Model, inputs: Any, layers: Sequence[keras.layers.Layer]) -> np.ndarray:
    """Returns `1 − mean cos(x, y)` of the input x and the output y of every layer, over examples and positions.

    Positions of padding are left out. At most 128 examples are used.

    Args:
        model: A task or a backbone.
        inputs: Its inputs.
        layers: The layers, in order.

    Reference:
        Men et al., ShortGPT: Layers in Large Language Models are More Redundant Than You Expect, arXiv 2403.03853,
        Eq. 1 (Block Influence).
    """
    places = {id(layer): number for number, layer in enumerate(layers)}
    found: list[list[np.ndarray]] = [[] for _ in layers]
    for given in _batches(model, inputs):
        mask = given.get(_MASK) if isinstance(given, Mapping) else None

        def visit(it: Any, call: Any, args: Any, kwargs: Any, mask: Any = mask) -> Any:
            made = call(it, *args, **kwargs)
            if id(it) in places:
                x, y = (ops.convert_to_numpy(tree.flatten(each)[0]) for each in (args or kwargs, made))
                cosine = cosines(x, y)
                is_read = mask is not None and mask.shape == cosine.shape
                found[places[id(it)]].append(cosine[np.asarray(mask, bool)] if is_read else cosine.ravel())
            return made

        with calls_of_layers(visit):
            _called(model, given)
    return np.array([1 - np.concatenate(each).mean() for each in found])


def layer_error(model: keras.Model, inputs: Any, layers: Sequence[keras.layers.Layer]) -> np.ndarray:
    """Returns the error of the outputs without each layer, of which the hidden states come out as they went in.

    The error is that of `kp.report`, relative to how much the outputs vary. At most 128 examples are used.

    Args:
        model: A task or a backbone.
        inputs: Its inputs.
        layers: The layers, in order.

    Reference:
        Muralidharan et al., Compact Language Models via Pruning and Knowledge Distillation, NeurIPS 2024, section 2.2
        (there the loss of the labels).
    """
    batches = [*_batches(model, inputs)]
    whole = [tree.flatten(_called(model, given)) for given in batches]
    found = []
    for layer in layers:

        def visit(it: Any, call: Any, args: Any, kwargs: Any, layer: Any = layer) -> Any:
            made = call(it, *args, **kwargs)
            if it is not layer:
                return made
            first, *rest = tree.flatten(made)
            x = tree.flatten(args or kwargs)[0]
            return tree.pack_sequence_as(made, [ops.cast(x, first.dtype), *rest])

        with calls_of_layers(visit):
            without = [tree.flatten(_called(model, given)) for given in batches]
        found.append(relative_error(without, whole))
    return np.array(found)


LAYER_SCORES: Mapping[str, Callable[..., np.ndarray]] = MappingProxyType(
    {"influence": layer_influence, "error": layer_error}
)
"""The scores of layers by name."""


def _batches(model: keras.Model, inputs: Any) -> Iterator[Any]:
    """Yields batches of inputs in the structure that a model takes."""
    for batch in example_batches(model, inputs, _SAMPLES):
        yield tree.pack_sequence_as(model.input, list(batch))


def _called(model: keras.Model, given: Any) -> Any:
    made = model(tree.map_structure(ops.convert_to_tensor, given), training=False)
    return tree.map_structure(lambda y: ops.convert_to_numpy(ops.cast(y, "float32")), made)
